/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccompgen: compiles the `#syscall` comments of source files into one role's seccomp list.
 *
 *     seccompgen --role blk -o list_blk.h SOURCE...
 *
 * It runs when cordon is built. Each source is read line by line (seccompgen_parse.c), each rule is
 * judged (seccompgen_judge.c), then libseccomp turns them into a BPF program for x86-64 whose default,
 * and whose answer to any other architecture and to x32 calls, is to kill the process. The program is
 * written as a C array, so that what runs in a role needs no library for it. Every mistake in every
 * source is reported before it gives up, and no output is written then.
 */
#include "isolate/seccompgen.h"
#include "base/base.h"

#include <errno.h>
#include <getopt.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct list {
	const char *role, *group; /* group: NULL where the role is in none */
	struct seccompgen_rule rules[SECCOMPGEN_RULES_MAX];
	size_t count;
	bool failed;
};

void seccompgen_error(const char *file, unsigned int line, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%u: error: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static int add_source(struct list *list, const char *file)
{
	FILE *stream BASE_AUTO_FILE = fopen(file, "re");
	char *text BASE_AUTO_FREE = NULL;
	size_t size = 0;

	if (!stream) {
		fprintf(stderr, "seccompgen: cannot open '%s': %s\n", file, strerror(errno));
		return -errno;
	}
	for (unsigned int line = 1; getline(&text, &size, stream) >= 0; line++) {
		struct seccompgen_rule rule;
		int found = seccompgen_parse(&rule, list->role, list->group, file, line, text);

		if (found > 0 && list->count == SECCOMPGEN_RULES_MAX) {
			seccompgen_error(file, line, "more than %d rules", SECCOMPGEN_RULES_MAX);
			found = -1;
		}
		if (found > 0 && seccompgen_judge(&rule, list->rules, list->count) < 0)
			found = -1;
		if (found > 0)
			list->rules[list->count++] = rule;
		list->failed |= found < 0;
	}
	return 0;
}

static int add_rule(scmp_filter_ctx context, const struct seccompgen_rule *rule)
{
	struct scmp_arg_cmp compare[SECCOMPGEN_ARGS];
	unsigned int count = 0;

	for (unsigned int i = 0; i < SECCOMPGEN_ARGS; i++) {
		const struct seccompgen_condition *condition = &rule->args[i];

		switch (condition->kind) {
		case SECCOMPGEN_ANY: break;
		case SECCOMPGEN_EQUAL:
			compare[count++] = SCMP_CMP64(i, SCMP_CMP_EQ, condition->value, 0);
			break;
		case SECCOMPGEN_AT_MOST:
			compare[count++] = SCMP_CMP64(i, SCMP_CMP_LE, condition->value, 0);
			break;
		case SECCOMPGEN_MASKED:
			compare[count++] = SCMP_CMP64(i, SCMP_CMP_MASKED_EQ, condition->mask,
			                              condition->value);
			break;
		}
	}
	return seccomp_rule_add_exact_array(context, SCMP_ACT_ALLOW, rule->number, count, compare);
}

static void release(scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}

/* The list as a BPF program. Returns the number of instructions, or a negative errno. */
static int compile(const struct list *list, struct sock_filter *program, size_t size)
{
	scmp_filter_ctx context BASE_CLEANUP(release) = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int file BASE_AUTO_FD = memfd_create("seccompgen", MFD_CLOEXEC);
	ssize_t length;
	int error;

	if (!context || file < 0)
		return -ENOMEM;
	if (seccomp_arch_native() != SCMP_ARCH_X86_64)
		return -ENOTSUP;
	error = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error < 0)
		return error;
	for (size_t i = 0; i < list->count; i++) {
		error = add_rule(context, &list->rules[i]);
		if (error < 0) {
			seccompgen_error(list->rules[i].file, list->rules[i].line,
			                 "libseccomp refuses this rule: %s", strerror(-error));
			return error;
		}
	}
	error = seccomp_export_bpf(context, file);
	if (error < 0)
		return error;
	length = pread(file, program, size, 0);
	if (length < 0)
		return -errno;
	if ((size_t)length == size)
		return -E2BIG;
	return (int)((size_t)length / sizeof(*program));
}

static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void print_header(FILE *out, const struct list *list, const struct sock_filter *program,
                         int length)
{
	const char *role = list->role;

	fprintf(out,
	        "/* Made by seccompgen from the #syscall comments of the role %s: change those. "
	        "*/\n"
	        "#ifndef CORDON_LIST_%s_H\n#define CORDON_LIST_%s_H\n\n"
	        "#include \"isolate/isolate.h\"\n\n"
	        "static const struct sock_filter list_%s_filter[] = {\n",
	        role, role, role, role);
	for (int i = 0; i < length; i++)
		fprintf(out, "\t{0x%02x, %u, %u, 0x%08x},\n", program[i].code, program[i].jt,
		        program[i].jf, program[i].k);
	fprintf(out,
	        "};\n\nstatic const struct sock_fprog list_%s = {\n"
	        "\t.len = %d,\n\t.filter = (struct sock_filter *)list_%s_filter,\n};\n\n"
	        "static const struct isolate_syscall list_%s_calls[] = {\n",
	        role, length, role, role);
	for (size_t i = 0; i < list->count; i++) {
		fputs("\t{", out);
		print_string(out, list->rules[i].name);
		fputs(", ", out);
		print_string(out, list->rules[i].text);
		fputs(", ", out);
		print_string(out, list->rules[i].reason);
		fputs("},\n", out);
	}
	fputs("};\n\n#endif\n", out);
}

static bool is_identifier(const char *text)
{
	return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int write_header(const struct list *list, const char *path)
{
	static struct sock_filter program[BPF_MAXINSNS + 1];
	int length = compile(list, program, sizeof(program));
	FILE *out;

	if (length < 0) {
		fprintf(stderr, "seccompgen: cannot compile the list of %s: %s\n", list->role,
		        strerror(-length));
		return length;
	}
	out = fopen(path, "we");
	if (!out) {
		fprintf(stderr, "seccompgen: cannot write '%s': %s\n", path, strerror(errno));
		return -errno;
	}
	print_header(out, list, program, length);
	if (fclose(out) != 0) {
		fprintf(stderr, "seccompgen: cannot write '%s': %s\n", path, strerror(errno));
		return -errno;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"role", required_argument, NULL, 'r'},
	        {"group", required_argument, NULL, 'g'},
	        {NULL, 0, NULL, 0},
	};
	struct list *list BASE_AUTO_FREE = calloc(1, sizeof(*list));
	const char *output = NULL;
	int option;

	if (!list)
		return 1;
	while ((option = getopt_long(argc, argv, "o:", options, NULL)) >= 0) {
		if (option == 'r')
			list->role = optarg;
		else if (option == 'g')
			list->group = optarg;
		else if (option == 'o')
			output = optarg;
		else
			return 2;
	}
	if (!list->role || !is_identifier(list->role) || !output || optind == argc) {
		fprintf(stderr,
		        "usage: seccompgen --role NAME [--group NAME] -o OUTPUT SOURCE...\n");
		return 2;
	}
	for (int i = optind; i < argc; i++)
		if (add_source(list, argv[i]) < 0)
			return 1;
	if (list->failed)
		return 1;
	if (list->count == 0) {
		fprintf(stderr, "seccompgen: no #syscall line names the role '%s'\n", list->role);
		return 1;
	}
	return write_header(list, output) < 0 ? 1 : 0;
}
