/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of what is known to be bad, once for all VMs that name the same file. The monitor cannot open files: the
 * daemon hands it the list, and an inotify fd that watches the list's folder; when that tells of the file's name,
 * the monitor asks its subscribers, who look into the VM's own policy and hand it the file again. A list
 * that is broken then leaves the old one in its place.
 *
 * #syscall monitor: pread64 - lists of known bad addresses and names
 */
#include "monitor/state.h"

#include <sys/epoll.h>
#include <sys/inotify.h>

#include "base/base.h"

enum { LISTS_NOTES = 4096, LISTS_READS = 64 };

static struct monitor_list *lists_find(struct monitor *monitor, const char *path)
{
	for (size_t i = 0; i < MONITOR_LISTS_MAX; i++)
		if (monitor->lists[i].users && strcmp(monitor->lists[i].path, path) == 0)
			return &monitor->lists[i];
	return NULL;
}

static struct monitor_list *lists_free_place(struct monitor *monitor)
{
	for (size_t i = 0; i < MONITOR_LISTS_MAX; i++)
		if (!monitor->lists[i].users)
			return &monitor->lists[i];
	return NULL;
}

int lists_take(struct monitor *monitor, const char *path, int file, int *notify,
               struct monitor_list **out, struct intel_fault *fault)
{
	struct monitor_list *place = lists_find(monitor, path);
	struct epoll_event event = {.events = EPOLLIN};
	int err;

	*out = place;
	if (place) {
		place->users++;
		return 0;
	}
	place = lists_free_place(monitor);
	if (!place)
		return -ENOSPC;
	err = intel_list_read(file, path, &place->list, fault);
	if (err)
		return err;
	event.data.ptr = place;
	if (epoll_ctl(monitor->epoll, EPOLL_CTL_ADD, *notify, &event) < 0) {
		err = -errno;
		intel_list_free(place->list);
		*place = (struct monitor_list){0};
		return err;
	}
	base_copy_string(place->path, sizeof(place->path), path);
	place->notify = base_take_fd(notify);
	place->users = 1;
	*out = place;
	return 0;
}

void lists_release(struct monitor_list *list)
{
	if (--list->users)
		return;
	close(list->notify);
	intel_list_free(list->list);
	*list = (struct monitor_list){0};
}

int lists_reload(struct monitor *monitor, const char *path, int file, struct intel_fault *fault)
{
	struct monitor_list *place = lists_find(monitor, path);
	struct intel_list *new = NULL;
	int err = place ? intel_list_read(file, path, &new, fault) : -ENOENT;

	if (err)
		return err;
	for (size_t i = 0; i < monitor->vm_count; i++)
		for (size_t k = 0; k < monitor->vms[i]->intel.count; k++)
			if (monitor->vms[i]->lists[k] == place)
				monitor->vms[i]->intel.lists[k] = new;
	intel_list_free(place->list);
	place->list = new;
	return 0;
}

struct monitor_list *lists_owner(struct monitor *monitor, void *tag)
{
	for (size_t i = 0; i < MONITOR_LISTS_MAX; i++)
		if (tag == &monitor->lists[i])
			return &monitor->lists[i];
	return NULL;
}

/* True when one of the notes is about the list's own name. */
static bool lists_noted(const char *bytes, size_t size, const char *name)
{
	struct inotify_event note;

	for (size_t at = 0; size - at >= sizeof(note); at += sizeof(note) + note.len) {
		memcpy(&note, bytes + at, sizeof(note));
		if (note.len > size - at - sizeof(note))
			return true;
		if (note.mask & IN_Q_OVERFLOW ||
		    (note.len && memchr(bytes + at + sizeof(note), '\0', note.len) &&
		     strcmp(bytes + at + sizeof(note), name) == 0))
			return true;
	}
	return false;
}

void lists_ready(struct monitor_list *list)
{
	const char *slash = strrchr(list->path, '/');
	char notes[LISTS_NOTES];

	for (int i = 0; i < LISTS_READS; i++) {
		ssize_t n = read(list->notify, notes, sizeof(notes));

		if (n <= 0)
			return;
		list->changed |= lists_noted(notes, (size_t)n, slash ? slash + 1 : list->path);
	}
}

void lists_tick(struct monitor *monitor)
{
	for (size_t i = 0; i < monitor->vm_count; i++)
		for (size_t k = 0; k < monitor->vms[i]->intel.count; k++) {
			struct monitor_list *list = monitor->vms[i]->lists[k];

			/* until somebody has heard it */
			if (list->changed && server_reload(monitor, monitor->vms[i]->name))
				list->changed = false;
		}
}
