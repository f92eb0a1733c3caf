/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_handle: what the files of vhost-user requests share. A request's function returns 0, VHOST_ANSWERED,
 * or a negative errno whose reason has been logged, which ends the process.
 */
#ifndef CORDON_VMM_DEVICES_VHOST_HANDLE_H
#define CORDON_VMM_DEVICES_VHOST_HANDLE_H

#include "vmm/devices/vhost_back.h"
#include "vmm/vhost_message.h"

enum { VHOST_ANSWERED = 1 }; /* it has sent its own answer */

/* Logs why the message is refused; -EPROTO. */
int vhost_refuse(const struct vhost_back *back, const char *what, uint64_t value);
/* Answers with the payload as it stands in `m`, or with a number. */
int vhost_answer(struct vhost_back *back, struct vhost_message *m, size_t size);
int vhost_answer_u64(struct vhost_back *back, struct vhost_message *m, uint64_t value);

/* vhost_memory.c */
int vhost_set_mem_table(struct vhost_back *back, struct vhost_message *m);
int vhost_get_max_mem_slots(struct vhost_back *back, struct vhost_message *m);
int vhost_add_mem_region(struct vhost_back *back, struct vhost_message *m);
int vhost_remove_mem_region(struct vhost_back *back, struct vhost_message *m);
int vhost_set_log_base(struct vhost_back *back, struct vhost_message *m);
int vhost_set_log_fd(struct vhost_back *back, struct vhost_message *m);
int vhost_set_shared_map(struct vhost_back *back, struct vhost_message *m);
int vhost_get_inflight_fd(struct vhost_back *back, struct vhost_message *m);
int vhost_set_inflight_fd(struct vhost_back *back, struct vhost_message *m);
/* Features or the log's place have changed. */
void vhost_log_update(struct vhost_back *back);

#endif
