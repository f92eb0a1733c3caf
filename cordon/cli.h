/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cli: what the verbs share: the common options, calling a method, printing errors and tables. */
#ifndef CORDON_CLI_H
#define CORDON_CLI_H

#include <getopt.h>

#include "cordon/host.h"

struct cli_options {
	bool json;
	int first; /* index of the first argument that is not an option */
};

#define CLI_FORMAT_OPTION                              \
	{                                              \
		"format", required_argument, NULL, 'F' \
	}
#define CLI_HELP_OPTION                        \
	{                                      \
		"help", no_argument, NULL, 'h' \
	}

/*
 * For verbs with no options but --format and --help, and between `min` and `max` arguments (max -1: any).
 * Returns -1 to go on, or the exit status to end with.
 */
int cli_simple(int argc, char **argv, const char *usage, int min, int max,
               struct cli_options *options);

/* Reads --format's value: table (or text) and json. False after having said what is wrong. */
bool cli_format(const char *value, bool *json);

/* Prints the error as a sentence, or as JSON where that was asked for, and returns its exit status. */
int cli_failed(struct host_error *error, bool json);

/* Reads a policy file: {policy, path, dir}, as vm.run and vm.guard take it; the caller's. NULL, and an error. */
json_t *cli_policy(const char *path, struct host_error *error);
/* cli_failed(), and every error of a policy that was refused, as `cordon check` says them. */
int cli_refused(const char *path, struct host_error *error, bool json);

/* Calls `method` for one VM and prints `done` (a printf format with the name) or the JSON result. */
int cli_vm_call(const char *method, const char *name, bool json, const char *done);

/* Whether what vm.wait has returned is an end: the VM may have been started again. */
bool cli_has_ended(const json_t *vm);

/* Prints a JSON value, as JSON, on one line. */
void cli_print_json(const json_t *json);

/* Prints text from a guest: control characters, but for line feeds and tabs, become \xNN. */
void cli_print_escaped(FILE *out, const char *text, size_t size);

/* The same of what a process with less privilege wrote, on standard output. */
void cli_print_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "10", "10s", "5m", "2h", from 1 second to `max`. False when it is anything else. */
bool cli_duration(const char *text, long max, long *seconds);

/* "512M", "1.5G"; "3m 20s" since a Unix time in ms. */
void cli_bytes(char out[16], uint64_t bytes);
void cli_age(char out[24], int64_t since_ms);

/* verb_console.c: joins this terminal and the VM's console until either ends; 0 or a negative errno. */
int console_relay(const char *vm, bool input);

#endif
