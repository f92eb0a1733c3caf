// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tool: see tool.h. Standard output and error, and the files, are all that is left after tool_enter().
 *
 * #syscall measure,attest,gate: read - the files
 * #syscall measure,attest: write(arg0 = 1) - the result
 * #syscall measure,attest,gate: mremap - a file is read to its end
 * #syscall measure,attest,gate: getrandom - blinds what libcrypto signs and checks
 * #syscall measure,attest,gate: futex(arg1 = FUTEX_WAKE_PRIVATE) - what libcrypto does once, wakes whoever waits for it
 * #syscall measure,attest,gate: getpid - libcrypto asks whether it has forked
 */
#include "confidential/tool.h"

#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "confidential/bytes.h"
#include "isolate/isolate.h"

enum { TOOL_UID = ISOLATE_UID_BASE - TOOL_UID_OFFSET, TOOL_BLOCK = 1 << 16 };

int tool_open(struct tool *tool, const char *name, int flags)
{
	struct stat facts;
	int fd = tool->count < TOOL_FILES_MAX ? open(name, flags | O_CLOEXEC, 0600) : -ENFILE;

	if (fd < 0 || fstat(fd, &facts) < 0 || S_ISDIR(facts.st_mode)) {
		fprintf(stderr, "cordon: cannot open %s: %s\n", name,
		        strerror(fd == -ENFILE ? ENFILE
		                 : fd < 0      ? errno
		                               : EISDIR));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	tool->files[tool->count] = fd;
	return TOOL_FIRST_FD + (int)tool->count++;
}

int tool_enter(const struct tool *tool, const struct sock_fprog *list)
{
	static char output[BUFSIZ];
	struct isolate_fd fds[TOOL_FILES_MAX + 2] = {{STDOUT_FILENO, STDOUT_FILENO},
	                                             {STDERR_FILENO, STDERR_FILENO}};
	struct isolate_role role = {.uid = TOOL_UID,
	                            .gid = TOOL_UID,
	                            .fds = fds,
	                            .fd_count = 2,
	                            .flags = geteuid() == 0 ? 0 : ISOLATE_UNPRIVILEGED,
	                            .file_size_max = UINT64_MAX, /* standard output may be a file */
	                            .list = list};
	EVP_MD *md;
	uint8_t seed[8];
	int err;

	for (size_t i = 0; i < tool->count; i++)
		fds[role.fd_count++] = (struct isolate_fd){tool->files[i], TOOL_FIRST_FD + (int)i};
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	tzset();
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
	                            OPENSSL_INIT_NO_ATEXIT,
	                    NULL);
	md = EVP_MD_fetch(NULL, "SHA384", NULL);
	EVP_MD_free(md);
	err = md && RAND_bytes(seed, sizeof(seed)) == 1 ? 0 : -ENOSYS;
	json_object_seed(seed[0] | (size_t)seed[1] << 8 | 1);
	if (!err)
		err = isolate_enter(&role);
	if (err)
		fprintf(stderr, "cordon: cannot enter the sandbox: %s\n", strerror(-err));
	return err ? TOOL_FAILED : TOOL_OK;
}

uint8_t *tool_read(int fd, const char *name, size_t max, size_t *size)
{
	uint8_t *bytes = NULL;
	size_t room = 0;
	ssize_t n = 1;

	*size = 0;
	while (n > 0 && *size <= max) {
		if (room - *size < TOOL_BLOCK) {
			uint8_t *more;

			room = BASE_MAX(2 * room, (size_t)2 * TOOL_BLOCK);
			more = realloc(bytes, room);
			if (!more)
				break;
			bytes = more;
		}
		n = read(fd, bytes + *size, TOOL_BLOCK);
		*size += n > 0 ? (size_t)n : 0;
	}
	if (n == 0 && *size <= max)
		return bytes;
	if (*size > max)
		fprintf(stderr, "cordon: %s is larger than %zu bytes\n", name, max);
	else
		fprintf(stderr, "cordon: cannot read %s: %s\n", name, strerror(errno));
	free(bytes);
	return NULL;
}

bool tool_hex(const char *text, uint8_t *bytes, size_t size)
{
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	return strlen(text) == 2 * size && bytes_from_hex(text, bytes, size);
}

void tool_hex_text(char *to, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

bool tool_number(const char *text, int base, uint64_t max, uint64_t *value)
{
	char *end;

	if (!isxdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &end, base);
	return errno == 0 && end != text && *end == '\0' && *value <= max;
}

bool tool_format(const char *text, bool *json)
{
	*json = strcmp(text, "json") == 0;
	if (*json || strcmp(text, "text") == 0 || strcmp(text, "table") == 0)
		return true;
	fprintf(stderr, "cordon: --format '%s' is not one of text, json\n", text);
	return false;
}
