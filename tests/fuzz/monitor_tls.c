/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes the parser of TLS hellos. */
#include "base/base.h"
#include "monitor/tls.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct tls_hello hello;

	require(copy);
	memcpy(copy, data, size);
	if (tls_hello_parse(copy, size, true, &hello) == 0) {
		require(memchr(hello.name, '\0', sizeof(hello.name)) != NULL);
		require(strlen(hello.ja4) == (hello.whole ? TLS_JA4_MAX - 1 : 0));
		require(strspn(hello.name, "abcdefghijklmnopqrstuvwxyz0123456789-._") ==
		        strlen(hello.name));
	}
	free(copy);
	return 0;
}
