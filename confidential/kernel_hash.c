// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kernel_hash: the hashes of what is loaded beside the firmware, for cordon-vmm. SHA256_*() and not EVP, as kernel.c
 * has it: they compute and do nothing else, where EVP would look for providers and files.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "base/base.h"
#include "confidential/confidential.h"

static void kernel_hash(const void *bytes, size_t size, uint8_t hash[32])
{
	SHA256_CTX context;

	SHA256_Init(&context);
	SHA256_Update(&context, bytes, size);
	SHA256_Final(hash, &context);
}

void confidential_kernel_hash(const void *kernel, size_t kernel_size, const void *initrd,
                              size_t initrd_size, const char *command_line,
                              struct confidential_kernel *hashes)
{
	kernel_hash(kernel, kernel_size, hashes->kernel);
	kernel_hash(initrd, initrd_size, hashes->initrd);
	kernel_hash(command_line, strlen(command_line) + 1, hashes->command_line);
}
