/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-balloon: virtio-balloon (virtio 1.2, section 5.5). Pages that the guest puts into the balloon, and
 * those that it reports as free, are given back to the host by a hole in guest memory's file. The guest has
 * them again by touching them: they are zeros then, and nobody has to be asked.
 *
 * A guest can name any of its pages, in use or not, by us or by another device: whoever reads them next finds
 * zeros, which the guest could have written there as well. Pages that it does not have are counted and left
 * out. What one request may cost has a limit, and so has what is done before the loop is heard again.
 *
 * The host's side asks and sets the target over a control socket (control.h). Statistics are only what the
 * guest says; it is asked for them when somebody asks here (the buffer that it left is given back), so that
 * an idle VM stays idle.
 *
 * Queues have numbers in the specification, but Linux leaves out those of features that were not negotiated.
 * We never offer hints, so that both 3 and 4 can be reports.
 */
#include <linux/virtio_balloon.h>

#include "vmm/devices/control.h"
#include "vmm/devices/program.h"
#include "vmm/devices/list_balloon.h"
#include "vmm/vmm.h"

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_HINT, QUEUE_REPORT, QUEUES };

enum {
	BALLOON_PFNS = 1024,          /* of one request; more are left where they are */
	BALLOON_STATS_ENTRIES = 32,   /* of one buffer */
	BALLOON_STATS_ENTRY = 10,     /* bytes: a 16-bit tag, then 64 bits */
	BALLOON_HOLES = 512,          /* before the loop is heard again */
	BALLOON_REPORT_MAX = 1 << 29, /* bytes of one request; Linux reports 128 MiB at most */
	BALLOON_BYTES = 1 << 28,      /* given back before the loop is heard again */
};

struct balloon {
	struct vhost_back *back;
	struct device_control control;
	int control_fd;
	bool has_control, no_reports;
	uint64_t features; /* negotiated */
	struct virtio_balloon_config config;
	uint64_t reported, inflated, deflated, refused;
	uint64_t stats[VMM_BALLOON_STATS], stats_count, stats_at;
	uint32_t stats_sent;
	uint16_t stats_head; /* the guest's buffer, while it is held */
	bool stats_held, stats_wanted;
	bool failed; /* the host would not take a page; said once */
	unsigned int holes;
	uint64_t bytes; /* these two: in this turn of a queue */
	struct vring_request request;
	uint32_t pfns[BALLOON_PFNS];
};

static bool has(const struct balloon *balloon, unsigned int feature)
{
	return balloon->features & 1ull << feature;
}

/* ---- giving back ---- */

static uint64_t discard(struct balloon *balloon, void *host, uint64_t size)
{
	int64_t given = device_memory_discard(host, size);

	balloon->holes++;
	if (given < 0) {
		if (!balloon->failed)
			device_log("cordon-balloon", "the host does not take pages back: %s",
			           strerror((int)-given));
		balloon->failed = true;
		return 0;
	}
	balloon->bytes += (uint64_t)given;
	return (uint64_t)given;
}

/* Pages [first, end) by number, each of them known to be in memory. */
static void inflate_range(struct balloon *balloon, const struct vring *ring, uint64_t first,
                          uint64_t end)
{
	struct iovec pieces[DEVICE_MEMORY_REGIONS];
	int count = device_memory_split(ring->memory, first << VIRTIO_BALLOON_PFN_SHIFT,
	                                (end - first) << VIRTIO_BALLOON_PFN_SHIFT, pieces,
	                                DEVICE_MEMORY_REGIONS);

	for (int i = 0; i < count; i++) {
		balloon->inflated += discard(balloon, pieces[i].iov_base, pieces[i].iov_len);
		device_memory_wrote(ring->memory, &pieces[i], 1, pieces[i].iov_len);
	}
}

/* The page numbers of the request that is at hand, copied here once. How many. */
static size_t take_pfns(struct balloon *balloon)
{
	const struct vring_request *r = &balloon->request;

	return vring_copy_out(r->iov, r->readable, 0, balloon->pfns, sizeof(balloon->pfns)) /
	       sizeof(balloon->pfns[0]);
}

/* Neighbours are given back as one, upwards or downwards, as a driver's allocator found them. */
static void inflate(struct balloon *balloon, const struct vring *ring)
{
	uint64_t first = 0, end = 0;
	size_t count = take_pfns(balloon);

	for (size_t i = 0; i < count; i++) {
		uint64_t page = balloon->pfns[i];

		if (!device_memory_at(ring->memory, page << VIRTIO_BALLOON_PFN_SHIFT,
		                      DEVICE_PAGE)) {
			balloon->refused++;
		} else if (first < end && page == end) {
			end++;
		} else if (first < end && page + 1 == first) {
			first--;
		} else {
			inflate_range(balloon, ring, first, end);
			first = page;
			end = page + 1;
		}
	}
	inflate_range(balloon, ring, first, end);
}

/* The pages come back when the guest touches them. */
static void deflate(struct balloon *balloon, const struct vring *ring)
{
	(void)ring;
	balloon->deflated += take_pfns(balloon) * DEVICE_PAGE;
}

/*
 * The buffers are the free pages themselves (section 5.5.6.7). A page may only be lost to what the guest
 * expects there: zeros, or a pattern that we do not write.
 */
static void report(struct balloon *balloon, const struct vring *ring)
{
	const struct iovec *list = balloon->request.iov + balloon->request.readable;
	uint64_t left = BALLOON_REPORT_MAX;

	if (has(balloon, VIRTIO_BALLOON_F_PAGE_POISON) && balloon->config.poison_val != 0)
		return;
	for (unsigned int i = 0; i < balloon->request.writable && left > 0; i++) {
		uint64_t size = BASE_MIN((uint64_t)list[i].iov_len, left);

		balloon->reported += discard(balloon, list[i].iov_base, size);
		device_memory_wrote(ring->memory, &list[i], 1, size);
		left -= size;
	}
}

static int serve(struct balloon *balloon, struct vring *ring,
                 void (*obey)(struct balloon *balloon, const struct vring *ring))
{
	balloon->holes = 0;
	balloon->bytes = 0;
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		int got = vring_pop(ring, &balloon->request);

		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		obey(balloon, ring);
		vring_push(ring, balloon->request.head, 0);
		if (balloon->holes >= BALLOON_HOLES || balloon->bytes >= BALLOON_BYTES)
			break;
	}
	return 1;
}

/* ---- statistics (section 5.5.6.3) ---- */

static void take_stats(struct balloon *balloon)
{
	const struct vring_request *r = &balloon->request;
	uint8_t entries[BALLOON_STATS_ENTRIES * BALLOON_STATS_ENTRY];
	size_t size = vring_copy_out(r->iov, r->readable, 0, entries, sizeof(entries));

	balloon->stats_sent = 0;
	for (size_t at = 0; at + BALLOON_STATS_ENTRY <= size; at += BALLOON_STATS_ENTRY) {
		uint16_t tag = base_le16(entries + at);

		if (tag >= VMM_BALLOON_STATS)
			continue;
		balloon->stats[tag] = base_le64(entries + at + 2);
		balloon->stats_sent |= 1u << tag;
	}
	balloon->stats_count++;
	balloon->stats_at = device_now();
	balloon->stats_wanted = false;
}

/* One buffer is held until statistics are wanted; a driver has no reason to bring another. */
static int run_stats(struct balloon *balloon, struct vring *ring)
{
	int got;

	if (balloon->stats_held && balloon->stats_wanted) {
		vring_push(ring, balloon->stats_head, 0);
		balloon->stats_held = false;
	}
	if (!balloon->stats_held) {
		got = vring_pop(ring, &balloon->request);
		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		take_stats(balloon);
		balloon->stats_head = balloon->request.head;
		balloon->stats_held = true;
	}
	vring_kicks(ring, true);
	return 0;
}

/* ---- the device ---- */

static int balloon_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	struct balloon *balloon = self;

	if (queue == QUEUE_INFLATE)
		return serve(balloon, ring, inflate);
	if (queue == QUEUE_DEFLATE)
		return serve(balloon, ring, deflate);
	if (queue == QUEUE_STATS && has(balloon, VIRTIO_BALLOON_F_STATS_VQ))
		return run_stats(balloon, ring);
	if (!has(balloon, VIRTIO_BALLOON_F_REPORTING))
		return vring_break(ring, "the queue of a feature that was not negotiated");
	return serve(balloon, ring, report);
}

static void balloon_queue_stop(void *self, unsigned int queue, struct vring *ring)
{
	struct balloon *balloon = self;

	if (queue != QUEUE_STATS || !balloon->stats_held)
		return;
	vring_unpop(ring, 1);
	balloon->stats_held = false;
}

static uint64_t balloon_features(void *self)
{
	const struct balloon *balloon = self;
	uint64_t features =
	        1ull << VIRTIO_BALLOON_F_STATS_VQ | 1ull << VIRTIO_BALLOON_F_DEFLATE_ON_OOM;

	if (!balloon->no_reports)
		features |=
		        1ull << VIRTIO_BALLOON_F_REPORTING | 1ull << VIRTIO_BALLOON_F_PAGE_POISON;
	return features;
}

static int balloon_features_set(void *self, uint64_t features)
{
	struct balloon *balloon = self;

	balloon->features = features;
	return 0;
}

static int balloon_config_read(void *self, uint32_t offset, void *data, uint32_t size)
{
	const struct balloon *balloon = self;
	size_t there = sizeof(balloon->config);

	memset(data, 0, size);
	if (offset < there)
		memcpy(data, (const uint8_t *)&balloon->config + offset,
		       BASE_MIN(size, there - offset));
	return 0;
}

/* The driver's two fields (section 5.5.4), whole; anything else is lost. */
static int balloon_config_write(void *self, uint32_t offset, const void *data, uint32_t size)
{
	struct balloon *balloon = self;

	if (size != sizeof(uint32_t))
		return 0;
	if (offset == offsetof(struct virtio_balloon_config, actual))
		balloon->config.actual = base_le32(data);
	else if (offset == offsetof(struct virtio_balloon_config, poison_val))
		balloon->config.poison_val = base_le32(data);
	return 0;
}

/* What the next driver finds: the host's wish, and nothing of the last one's. */
static void balloon_reset(void *self)
{
	struct balloon *balloon = self;

	balloon->features = 0;
	balloon->config.actual = 0;
	balloon->config.poison_val = 0;
	balloon->stats_sent = 0;
}

/* ---- the host's side ---- */

/* There may be no memory to compare it with yet; it is a number in a register, and the guest's to obey. */
static int set_target(struct balloon *balloon, uint64_t target)
{
	if (target % DEVICE_PAGE != 0 || target / DEVICE_PAGE > UINT32_MAX)
		return -ERANGE;
	balloon->config.num_pages = (uint32_t)(target / DEVICE_PAGE);
	vhost_back_config_changed(balloon->back);
	return 0;
}

static void fill_state(const struct balloon *balloon, struct vmm_balloon *m)
{
	*m = (struct vmm_balloon){
	        .verb = VMM_BALLOON_STATE,
	        .stats_sent = balloon->stats_sent,
	        .target = (uint64_t)balloon->config.num_pages * DEVICE_PAGE,
	        .actual = (uint64_t)balloon->config.actual * DEVICE_PAGE,
	        .reported = balloon->reported,
	        .inflated = balloon->inflated,
	        .deflated = balloon->deflated,
	        .refused = balloon->refused,
	        .stats_count = balloon->stats_count,
	};
	if (balloon->back->queue[QUEUE_INFLATE].started)
		m->flags |= VMM_BALLOON_DRIVER;
	if (has(balloon, VIRTIO_BALLOON_F_REPORTING))
		m->flags |= VMM_BALLOON_REPORTS;
	if (has(balloon, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		m->flags |= VMM_BALLOON_GIVES_ON_OOM;
	if (balloon->stats_count > 0)
		m->stats_age = (device_now() - balloon->stats_at) / 1000000;
	memcpy(m->stats, balloon->stats, sizeof(m->stats));
}

static void balloon_answer(void *self, void *message)
{
	struct balloon *balloon = self;
	struct vmm_balloon *m = message;
	int error = 0;

	if (m->verb == VMM_BALLOON_TARGET) {
		error = set_target(balloon, m->target);
	} else if (m->verb == VMM_BALLOON_REFRESH) {
		balloon->stats_wanted = true;
	} else if (m->verb != VMM_BALLOON_QUERY) {
		error = -ENOSYS;
	}
	fill_state(balloon, m);
	if (error) {
		m->verb = VMM_BALLOON_REFUSED;
		m->error = error;
	}
}

static uint32_t balloon_ready(void *self, uint16_t tag, uint32_t events)
{
	struct balloon *balloon = self;

	(void)events;
	device_control_ready(&balloon->control, tag);
	return balloon->stats_wanted ? 1u << QUEUE_STATS : 0;
}

static int balloon_open(void *self, struct vhost_back *back, const char **why)
{
	struct balloon *balloon = self;

	balloon->back = back;
	*why = "the control socket";
	if (!balloon->has_control)
		return 0;
	return device_control_open(&balloon->control, back, balloon->control_fd,
	                           sizeof(struct vmm_balloon), balloon_answer, balloon);
}

static int set_control(void *self, const char *value)
{
	struct balloon *balloon = self;
	uint64_t fd;
	int error = device_number(value, 0, INT32_MAX, &fd);

	if (error < 0)
		return error;
	balloon->control_fd = (int)fd;
	balloon->has_control = true;
	return 0;
}

static int set_no_reports(void *self, const char *value)
{
	struct balloon *balloon = self;

	(void)value;
	balloon->no_reports = true;
	return 0;
}

static const struct vhost_device_ops balloon_ops = {
        .name = "cordon-balloon",
        .queues = QUEUES,
        .queue_num = QUEUES,
        .features = balloon_features,
        .features_set = balloon_features_set,
        .config_read = balloon_config_read,
        .config_write = balloon_config_write,
        .config_changes = true,
        .queue_run = balloon_queue_run,
        .queue_stop = balloon_queue_stop,
        .ready = balloon_ready,
        .reset = balloon_reset,
};

static const struct device_option balloon_options[] = {
        {"control", "FD", false, set_control},
        {"no-reports", NULL, false, set_no_reports},
};

const struct device_program device_balloon = {
        .ops = &balloon_ops,
        .options = balloon_options,
        .option_count = BASE_COUNT(balloon_options),
        .state_size = sizeof(struct balloon),
        .list = &list_balloon,
        .open = balloon_open,
};
