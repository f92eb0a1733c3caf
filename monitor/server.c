/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor's socket. Root registers VMs, forgets them and subscribes to actions; whoever else may
 * connect (the socket's mode: group cordon) may query. An answer is sent as the client takes it, a query of
 * flows from a snapshot, so a slow client costs its snapshot and nobody's time.
 *
 * #syscall monitor: accept4 - somebody connects
 * #syscall monitor: getsockopt - who it is (SO_PEERCRED)
 * #syscall monitor: recvmsg - a request, with the fds of a VM that is registered
 * #syscall monitor: sendmsg - answers
 * #syscall monitor: epoll_ctl - clients come and go
 */
#include "monitor/state.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/base.h"

enum {
	SERVER_FLOWS_MAX = 65536,
	SERVER_SNAPSHOTS_MAX = 4, /* at a time: each is up to 17 MiB */
};

static void server_watch(struct monitor *monitor, struct monitor_client *client, int operation)
{
	struct epoll_event event = {.events = EPOLLIN | (client->answering ? EPOLLOUT : 0),
	                            .data.ptr = client};

	epoll_ctl(monitor->epoll, operation, client->fd, &event);
}

static void server_answer_free(struct monitor_client *client)
{
	free(client->flows);
	free(client->owners);
	client->flows = NULL;
	client->owners = NULL;
	client->flow_count = client->flow_next = 0;
	client->answering = ANSWERING_NOTHING;
}

static void server_close(struct monitor_client *client)
{
	server_answer_free(client);
	base_close(&client->fd);
	client->subscribed = client->root = false;
}

int server_accept(struct monitor *monitor)
{
	struct monitor_client *client = NULL;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	BASE_AUTO_FD int fd = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX && !client; i++)
		if (monitor->clients[i].fd < 0)
			client = &monitor->clients[i];
	if (!client || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -EBUSY;
	client->fd = base_take_fd(&fd);
	client->root = peer.uid == 0;
	server_watch(monitor, client, EPOLL_CTL_ADD);
	return 0;
}

/* False when the client is gone, or takes nothing now (EAGAIN). */
static bool server_send(struct monitor_client *client, const struct monitor_answer *answer,
                        const char *text)
{
	struct iovec parts[2] = {{.iov_base = (void *)answer, .iov_len = sizeof(*answer)},
	                         {.iov_base = (void *)text, .iov_len = answer->size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = text ? 2 : 1};

	return sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void server_result(struct monitor_client *client, int err)
{
	struct monitor_answer answer = {.type = err ? MONITOR_FAILED : MONITOR_OK, .error = err};

	server_send(client, &answer, NULL);
}

struct server_copy {
	struct monitor_client *client;
	uint32_t ifindex;
};

static int server_copy_flow(const struct flow_record *record, void *data)
{
	struct server_copy *copy = data;
	struct monitor_client *client = copy->client;

	if (client->flow_count == SERVER_FLOWS_MAX)
		return 1;
	client->owners[client->flow_count] = copy->ifindex;
	client->flows[client->flow_count++] = *record;
	return 0;
}

static bool server_crowded(const struct monitor *monitor)
{
	size_t snapshots = 0;

	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		snapshots += monitor->clients[i].flows != NULL;
	return snapshots >= SERVER_SNAPSHOTS_MAX;
}

/* Copies the flows of one VM, or of all, to be sent as the client takes them. */
static int server_snapshot(struct monitor *monitor, struct monitor_client *client, const char *vm)
{
	bool found = *vm == '\0';

	if (server_crowded(monitor))
		return -EBUSY;
	client->flows = calloc(SERVER_FLOWS_MAX, sizeof(*client->flows));
	client->owners = calloc(SERVER_FLOWS_MAX, sizeof(*client->owners));
	if (!client->flows || !client->owners)
		return -ENOMEM;
	for (size_t i = 0; i < monitor->vm_count; i++) {
		struct server_copy copy = {.client = client, .ifindex = monitor->vms[i]->ifindex};

		if (*vm && strcmp(vm, monitor->vms[i]->name) != 0)
			continue;
		found = true;
		flow_map_each(monitor->vms[i]->flows, server_copy_flow, &copy);
	}
	return found ? 0 : -ENOENT;
}

/* Each of these sends the next part of an answer: 1, 0 when there is no more, -EAGAIN when the client takes
 * nothing now (EPOLLOUT, or EPOLLHUP, will tell). */

static int server_send_text(struct monitor_client *client, const char *text, size_t size)
{
	struct monitor_answer answer = {.type = MONITOR_TEXT, .size = (uint32_t)size};

	if (size == 0 || size > MONITOR_TEXT_MAX)
		return 1;
	return server_send(client, &answer, text) ? 1 : -EAGAIN;
}

static int server_next_flow(struct monitor *monitor, struct monitor_client *client)
{
	const struct monitor_vm *vm;
	json_t *json;
	int result;

	if (client->flow_next == client->flow_count)
		return 0;
	vm = vms_find(monitor, client->owners[client->flow_next]);
	json = alert_flow_json(
	        &client->flows[client->flow_next], vm ? vm->name : "", monitor->clock_ns,
	        vm ? tls_flows_find(vm->tls, &client->flows[client->flow_next].key) : NULL);
	BASE_AUTO_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	result = server_send_text(client, text, text ? strlen(text) : 0);
	client->flow_next += result == 1;
	return result;
}

static int server_next_vm(struct monitor *monitor, struct monitor_client *client)
{
	const struct monitor_vm *vm = vms_from(monitor, client->next_ifindex);
	BASE_AUTO_FREE char *text = NULL;
	int result;

	if (!vm)
		return 0;
	text = client->answering == ANSWERING_LIST ? strdup(vm->name) : stats_text(vm);
	result = server_send_text(client, text, text ? strlen(text) : 0);
	/* ifindexes are below 2^31 */
	if (result == 1)
		client->next_ifindex = vm->ifindex + 1;
	return result;
}

/* Sends as much of the answer as the client takes now. */
static void server_continue(struct monitor *monitor, struct monitor_client *client)
{
	struct monitor_answer end = {.type = MONITOR_END};
	int result;

	do
		result = client->answering == ANSWERING_FLOWS ? server_next_flow(monitor, client)
		                                              : server_next_vm(monitor, client);
	while (result == 1);
	if (result < 0 || !server_send(client, &end, NULL))
		return;
	server_answer_free(client);
	server_watch(monitor, client, EPOLL_CTL_MOD);
}

static int server_query(struct monitor *monitor, struct monitor_client *client,
                        const struct monitor_request *request)
{
	int err = 0;

	if (client->answering)
		return -EBUSY;
	if (request->verb == MONITOR_LIST && !client->root)
		return -EPERM;
	if (request->verb == MONITOR_FLOWS)
		err = server_snapshot(monitor, client, request->vm);
	if (err) {
		server_answer_free(client);
		return err;
	}
	client->next_ifindex = 0;
	client->answering = request->verb == MONITOR_FLOWS   ? ANSWERING_FLOWS
	                    : request->verb == MONITOR_STATS ? ANSWERING_STATS
	                                                     : ANSWERING_LIST;
	server_watch(monitor, client, EPOLL_CTL_MOD);
	return 0;
}

/* A VM's name goes into JSON and syslog: only what a policy can have is let in. */
static bool server_name_valid(const char name[POLICY_NAME_MAX])
{
	size_t length = strnlen(name, POLICY_NAME_MAX);

	return length < POLICY_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool server_lists_valid(const struct policy_monitor *policy)
{
	if (policy->list_count > POLICY_LISTS_MAX)
		return false;
	for (size_t i = 0; i < policy->list_count; i++)
		if (!memchr(policy->lists[i], '\0', sizeof(policy->lists[i])))
			return false;
	return true;
}

/* What was asked, checked: the daemon is trusted, but a message is a message. */
static bool server_valid(const struct monitor_request *request)
{
	return request->version == MONITOR_VERSION && server_name_valid(request->vm) &&
	       server_name_valid(request->group) &&
	       request->monitor.sink_count <= POLICY_SINKS_MAX &&
	       request->monitor.suppress_count <= POLICY_SUPPRESS_MAX && request->baseline <= 1 &&
	       server_lists_valid(&request->monitor);
}

static int server_intel(struct monitor *monitor, const struct monitor_request *request, int *fds,
                        size_t count, struct monitor_answer *answer)
{
	struct intel_fault fault = {0};
	int err = -EINVAL;

	if (count == 1 && request->monitor.list_count == 1)
		err = lists_reload(monitor, request->monitor.lists[0], fds[0], &fault);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	answer->size = fault.line;
	memcpy(answer->alert_id, fault.excerpt, sizeof(answer->alert_id));
	return err;
}

static void server_request(struct monitor *monitor, struct monitor_client *client,
                           const struct monitor_request *request, int *fds, size_t count)
{
	struct monitor_answer answer = {.type = MONITOR_OK};
	int err = -EPERM;

	if ((request->verb == MONITOR_REGISTER || request->verb == MONITOR_INTEL) && client->root) {
		err = request->verb == MONITOR_REGISTER
		              ? vms_register(monitor, request, fds, count, &answer)
		              : server_intel(monitor, request, fds, count, &answer);
		answer.type = err ? MONITOR_FAILED : MONITOR_OK;
		answer.error = err;
		server_send(client, &answer, NULL);
		return;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	switch (request->verb) {
	case MONITOR_REGISTER:
	case MONITOR_INTEL: break; /* not root */
	case MONITOR_FORGET:
		if (client->root)
			err = vms_forget(monitor, request->vm);
		break;
	case MONITOR_SUBSCRIBE:
		client->subscribed = client->root;
		err = client->root ? 0 : -EPERM;
		break;
	case MONITOR_FLOWS:
	case MONITOR_STATS:
	case MONITOR_LIST:
		err = server_query(monitor, client, request);
		if (!err)
			return;
		break;
	default: err = -ENOSYS;
	}
	server_result(client, err);
}

/* Takes the fds of a message out of its control data; there are at most MONITOR_FDS_MAX. */
static size_t server_fds(struct msghdr *message, int fds[MONITOR_FDS_MAX])
{
	/* padding would let one more in, which nobody would close */
	_Static_assert(CMSG_SPACE(sizeof(int) * MONITOR_FDS_MAX) ==
	                       CMSG_LEN(sizeof(int) * MONITOR_FDS_MAX),
	               "an even number of fds");
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	size_t count = 0;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		count = BASE_MIN(count, (size_t)MONITOR_FDS_MAX);
		memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	}
	return count;
}

static bool server_receive(struct monitor *monitor, struct monitor_client *client)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * MONITOR_FDS_MAX)];
	} control;
	struct monitor_request request;
	struct iovec part = {.iov_base = &request, .iov_len = sizeof(request)};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};
	int fds[MONITOR_FDS_MAX];
	ssize_t n = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	size_t count;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	count = server_fds(&message, fds);
	if (n == (ssize_t)sizeof(request) && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    server_valid(&request)) {
		server_request(monitor, client, &request, fds, count);
		return true;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return false;
}

void server_ready(struct monitor *monitor, struct monitor_client *client, uint32_t events)
{
	if (events & EPOLLIN && !server_receive(monitor, client)) {
		server_close(client);
		return;
	}
	if (events & (EPOLLHUP | EPOLLERR)) {
		server_close(client);
		return;
	}
	if (client->answering)
		server_continue(monitor, client);
}

static size_t server_tell(struct monitor *monitor, const struct monitor_answer *answer)
{
	size_t told = 0;

	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		if (monitor->clients[i].fd >= 0 && monitor->clients[i].subscribed)
			told += server_send(&monitor->clients[i], answer, NULL);
	return told;
}

bool server_reload(struct monitor *monitor, const char *vm)
{
	struct monitor_answer reload = {.type = MONITOR_RELOAD};

	base_copy_string(reload.vm, sizeof(reload.vm), vm);
	return server_tell(monitor, &reload) > 0;
}

void server_act(struct monitor *monitor, const char *vm, const struct alert *alert,
                uint32_t respond)
{
	struct monitor_answer act = {.type = MONITOR_ACT,
	                             .respond = respond & ~(uint32_t)POLICY_RESPOND_ALERT};

	if (!act.respond)
		return;
	base_copy_string(act.vm, sizeof(act.vm), vm);
	base_copy_string(act.rule, sizeof(act.rule), alert->rule);
	base_copy_string(act.alert_id, sizeof(act.alert_id), alert->id);
	if (server_tell(monitor, &act) == 0)
		fprintf(stderr, "monitor: nobody took alert %s of %s, which asks for an action\n",
		        alert->rule, vm);
}
