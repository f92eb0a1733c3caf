/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measured_model: cordon-vmm as it is, from its command line to its exit status, above the model of KVM and of the
 * firmware (confidential_fake.h): its ioctls come to measured_model.c. Fds are real, as cordon-vmm maps and closes
 * them: each stands for one of the model's by its inode.
 */
#ifndef CORDON_TESTS_MEASURED_MODEL_H
#define CORDON_TESTS_MEASURED_MODEL_H

#include "tests/unit/confidential_fake.h"
#include "tests/unit/igvm_fixture.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/measured.h"

enum { MODEL_MEMORY = 4 << 20 };

struct model {
	struct fake fake;
	int kvm_fd, sev_fd;
	bool split, ran;
	uint64_t memory;         /* of the guest; MODEL_MEMORY until a test says otherwise */
	struct cpuid_table told; /* what the first vCPU was told */
	/* the one call that fails: an ioctl, and of KVM_MEMORY_ENCRYPT_OP a command */
	struct {
		unsigned long request;
		uint32_t command;
		int error;
		unsigned int after; /* so many that do not */
	} fault;
};
extern struct model model;

/* Before and behind each test. */
void model_setup(void);
void model_teardown(void);

/* What firmware is to start. */
struct model_given {
	const char *kernel; /* its bytes, or NULL */
	size_t kernel_size;
	const char *initrd, *cmdline;
};
/* Runs cordon-vmm; its exit status, and what it says on its standard error. */
int model_vmm(const char *confidential, uint32_t vcpus, const struct model_given *given,
              char text[1024]);
/* A leaf of CPUID that the first vCPU was told of, or NULL. */
const struct kvm_cpuid_entry2 *model_told(uint32_t function);

#endif
