/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm: how cordon-vmm and the device processes are started and spoken to.
 *
 * cordon-vmm is handed every fd that it will ever have, by number, on its command line:
 *
 *   cordon-vmm --name web0 --vcpus 2 --memory BYTES --kvm FD --memfd FD --kernel FD [--initrd FD]
 *              [--cmdline TEXT] --control FD [--console FD] [--serial-log FD [--serial-old FD]] [--stdio]
 *              [--cpu MODEL[,nested][,+FEATURE][,-FEATURE]...] [--numa NODE]
 *              [--on-panic stop|pause|log] [--watchdog reset|stop|pause [--watchdog-fired]]
 *              [--last FD] [--private sw-protected]
 *              [--confidential TYPE:firmware=FD[,sev=FD][,id-block=FD,id-auth=FD][,host-data=HEX]
 *                              [,abi=MAJOR.MINOR][,debug][,no-smt]]
 *              [--firmware FD]
 *              [--device TYPE:FD[:key=value...]]...   TYPE net|blk|console|rng|balloon|vsock|fs;
 *              FD a vhost-user socket
 *              [--no-sandbox]   only for running it by hand
 *
 * --kernel is an ELF with a PVH note, a bzImage or an IGVM file; --memfd is guest memory, of the right size;
 * --control a listening SOCK_SEQPACKET unix socket, --console a listening SOCK_STREAM one (raw bytes
 * of the serial port both ways), --serial-log a file that the vmm appends to, at most
 * VMM_SERIAL_LOG_MAX bytes: it is then copied to --serial-old, and begun anew. --stdio puts the serial port on fds 0 and 1 as well.
 *
 * --cpu is host (default), x86-64-v2, x86-64-v3 or x86-64-v4, with features of base/cpu_features.h; --numa
 * has guest memory come from that node and no other.
 *
 * --on-panic says what comes of a guest that panics (default: stop); --watchdog gives it a watchdog,
 * and says what comes of one that expires; --watchdog-fired tells the guest that it was started again for
 * that. --last is a file that the last VMM_STATE message is written to when the VM has ended.
 *
 * --private has the guest's memory be private as it asks for it, page by page; sw-protected is KVM's type for
 * testing that, which protects from nothing. A balloon is refused then, and each back end has to keep to the
 * pages that the guest shares (VHOST_USER_SET_SHARED_MAP).
 *
 * --confidential has the hardware hide the guest's memory and measure its start: sev, sev-es, sev-snp or tdx; `sev` is
 * /dev/sev. Its firmware is an IGVM file, which has its own kernel, or an OVMF or TDVF image, which starts the one that
 * --kernel and --initrd give it. What the host cannot give is an error. Never run on such hardware.
 *
 * --firmware starts a guest without encryption from an OVMF image, with or without a kernel. Firmware starts kernels
 * that are EFI programs, as a bzImage is; the vmm holds a copy of it and of its initrd.
 *
 * It builds the machine, finishes the vhost-user negotiation, enters its seccomp list, then waits for
 * VMM_START on the control socket (with --stdio and no --control it starts at once). The guest has not
 * run an instruction before that.
 *
 * Devices: `cordon-blk --vhost FD --disk FD [--read-only] [--serial TEXT] [--limits FD:ENTRY]`,
 * `cordon-net --vhost FD --tap FD... [--mac M] [--mtu N] [--limits FD:ENTRY]`, `cordon-rng --vhost FD`,
 * `cordon-balloon --vhost FD [--control FD] [--no-reports]` (struct vmm_balloon, below),
 * `cordon-console --vhost FD --listen FD [--size FD] [--log FD]`,
 * `cordon-vsock --vhost FD --cid N [--listen FD] [--to-guest PORTS] [--dial FD --to-host PORTS]`, which has
 * the host's sockets from `cordon-dial --requests FD --target PORT:PATH...`.
 * What is written behind a device's FD: `name=` (for the log, and for VMM_DEVICE_REPLACE), `restart=MS` (a
 * device whose back end is gone waits so long for another one before it is lost), of net `mac=` and
 * `mtu=`, of fs `tag=` and `queues=`.
 * --limits is a page of devices/limits.h, and the device's entry in it. `--socket PATH` instead of
 * --vhost listens there for any vhost-user front end. A device ends when its front end hangs up.
 */
#ifndef CORDON_VMM_H
#define CORDON_VMM_H

#include <stdint.h>

enum {
	VMM_VERSION = 1,
	VMM_SERIAL_LOG_MAX = 2 * 1024 * 1024,
	VMM_CONTROL_CLIENTS_MAX = 4,
	VMM_VCPUS_MAX = 64,
	VMM_DEVICES_MAX = 24,
	VMM_DEVICE_NAME_MAX = 16,
};

/* Both ways on the control socket; every message is exactly this. */
enum vmm_verb {
	/* to the vmm; each is answered by VMM_STATE or VMM_REFUSED */
	VMM_START = 1,
	VMM_PAUSE,
	VMM_RESUME,
	VMM_POWER_BUTTON, /* ask the guest to shut down (ACPI) */
	VMM_QUIT,         /* stop at once, exit 0 */
	VMM_QUERY,
	VMM_RESET, /* end with VMM_END_RESTART */
	/* about `device`, by the name that it was given */
	VMM_DEVICE_REPLACE, /* its back end is gone; the message brings another one's socket (SCM_RIGHTS) */
	VMM_DEVICE_LOST, /* there will be no other back end */
	/* from the vmm, to every client */
	VMM_STATE = 100, /* state, and counters */
	VMM_REFUSED,     /* error: negative errno */
};

enum vmm_state { VMM_READY = 1, VMM_RUNNING, VMM_PAUSED, VMM_ENDED };

/* Why a VM ended: the vmm's exit status too. */
enum vmm_end {
	VMM_END_POWEROFF = 0, /* guest S5, or VMM_QUIT */
	VMM_END_FAILED = 1,   /* could not start; one sentence on stderr */
	VMM_END_USAGE = 2,
	VMM_END_RESET = 10, /* the guest resets itself; whether it is started again is cordon's */
	VMM_END_TRIPLE_FAULT = 11, /* a reset too: how some kernels do it */
	VMM_END_KVM_ERROR = 12, /* KVM_EXIT_INTERNAL_ERROR, FAIL_ENTRY: registers are in the log */
	VMM_END_PANIC = 13,
	VMM_END_DEVICE = 14, /* a device process died and could not be done without */
	VMM_END_WATCHDOG = 15,
	VMM_END_RESTART = 16, /* VMM_RESET: to be started again */
	VMM_END_MEMORY = 17,  /* private memory that the guest asked for could not be given */
};

/* What is done about a guest that panics, or hangs. */
enum vmm_action {
	VMM_ACTION_NONE,
	VMM_ACTION_STOP,
	VMM_ACTION_PAUSE,
	VMM_ACTION_LOG,
	VMM_ACTION_RESET
};

struct vmm_message {
	uint32_t verb;
	uint32_t state; /* enum vmm_state */
	int32_t error;
	uint32_t end;   /* enum vmm_end, when state is VMM_ENDED; when VMM_PAUSED, what paused it */
	uint64_t exits; /* VM exits so far */
	uint64_t unknown_io;              /* port and MMIO accesses that nothing answers */
	uint64_t panics;                  /* that the guest has told of */
	char device[VMM_DEVICE_NAME_MAX]; /* terminated */
};

/* How it ended, in a few words; NULL for a number that is none of enum vmm_end. */
const char *vmm_end_text(unsigned int end);

/*
 * The balloon's control socket (`cordon-balloon --control FD`, SOCK_SEQPACKET, listening): each message is
 * one of these, both ways, and each is answered. A guest's numbers are whatever the guest says.
 */
enum vmm_balloon_verb {
	VMM_BALLOON_QUERY = 1,
	VMM_BALLOON_REFRESH, /* the same, and the guest is asked for statistics: `stats_count` grows then */
	VMM_BALLOON_TARGET, /* `target` is what the balloon is to hold */
	VMM_BALLOON_STATE = 100,
	VMM_BALLOON_REFUSED, /* error: negative errno */
};

enum vmm_balloon_flag { /* what the guest's driver takes part in */
	                VMM_BALLOON_DRIVER = 1,
	                VMM_BALLOON_REPORTS = 2,
	                VMM_BALLOON_GIVES_ON_OOM = 4,
};

enum { VMM_BALLOON_STATS = 10 }; /* by the tags of virtio 1.2, 5.5.6.3 */

struct vmm_balloon {
	uint32_t verb;
	int32_t error;
	uint32_t flags;       /* enum vmm_balloon_flag */
	uint32_t stats_sent;  /* a bit a tag: the guest gives this one */
	uint64_t target;      /* bytes that the balloon is to hold, whole pages */
	uint64_t actual;      /* bytes that it holds, as the guest says */
	uint64_t reported;    /* bytes so far: free in the guest, and given back */
	uint64_t inflated;    /* bytes so far: put into the balloon, and given back */
	uint64_t deflated;    /* bytes so far that the guest took out again */
	uint64_t refused;     /* pages so far that are not in the guest's memory */
	uint64_t stats_count; /* how often statistics came */
	uint64_t stats_age;   /* of the last ones, ms */
	uint64_t stats[VMM_BALLOON_STATS];
};

/*
 * The kernel formats, for `cordon image import`: unpacks a bzImage's payload (gzip, xz, zstd, lz4 as
 * Debian uses) to the ELF inside it. `in` is any readable file, `out` an empty one. The payload is
 * read in a sandboxed child. 0, or a negative errno with one sentence in why[160].
 */
int vmm_image_unpack(int in, int out, char why[160]);

#endif
