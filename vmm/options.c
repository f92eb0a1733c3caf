// SPDX-License-Identifier: GPL-2.0-or-later
/* options: a table of long options, each a number, a text or a flag of struct options. */
#include "vmm/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>

#include "base/base.h"
#include "base/why.h"

enum options_kind {
	OPTION_TEXT,
	OPTION_FD,
	OPTION_VCPUS,
	OPTION_MEMORY,
	OPTION_DEVICE,
	OPTION_PANIC,
	OPTION_WATCHDOG,
	OPTION_CPU,
	OPTION_NODE,
	OPTION_PRIVATE,
	OPTION_CONFIDENTIAL,
	OPTION_FLAG
};

#define OPTIONS_AT(member) offsetof(struct options, member)

static const struct {
	const char *name;
	enum options_kind kind;
	size_t at;
	bool value; /* of a flag */
} options_table[] = {
        {"name", OPTION_TEXT, OPTIONS_AT(name), false},
        {"vcpus", OPTION_VCPUS, OPTIONS_AT(vcpus), false},
        {"memory", OPTION_MEMORY, OPTIONS_AT(memory), false},
        {"cpu", OPTION_CPU, 0, false},
        {"numa", OPTION_NODE, 0, false},
        {"private", OPTION_PRIVATE, OPTIONS_AT(private), false},
        {"confidential", OPTION_CONFIDENTIAL, 0, false},
        {"kvm", OPTION_FD, OPTIONS_AT(kvm), false},
        {"memfd", OPTION_FD, OPTIONS_AT(memfd), false},
        {"kernel", OPTION_FD, OPTIONS_AT(kernel), false},
        {"initrd", OPTION_FD, OPTIONS_AT(initrd), false},
        {"firmware", OPTION_FD, OPTIONS_AT(firmware), false},
        {"cmdline", OPTION_TEXT, OPTIONS_AT(cmdline), false},
        {"control", OPTION_FD, OPTIONS_AT(control), false},
        {"console", OPTION_FD, OPTIONS_AT(console), false},
        {"serial-log", OPTION_FD, OPTIONS_AT(serial_log), false},
        {"serial-old", OPTION_FD, OPTIONS_AT(serial_old), false},
        {"last", OPTION_FD, OPTIONS_AT(last), false},
        {"on-panic", OPTION_PANIC, OPTIONS_AT(board.panic), false},
        {"watchdog", OPTION_WATCHDOG, OPTIONS_AT(board.watchdog), false},
        {"watchdog-fired", OPTION_FLAG, OPTIONS_AT(board.watchdog_fired), true},
        {"device", OPTION_DEVICE, 0, false},
        {"stdio", OPTION_FLAG, OPTIONS_AT(stdio), true},
        {"no-sandbox", OPTION_FLAG, OPTIONS_AT(sandbox), false},
};

static int options_number(const char *text, uint64_t max, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno || *end || *number > max ? -EINVAL : 0;
}

/* TYPE:FD[:key=value...] */
static int options_device(struct options *options, const char *text, char *why)
{
	struct options_device *device = &options->devices[options->device_count];
	const char *colon = strchr(text, ':'), *rest;
	size_t type = colon ? (size_t)(colon - text) : 0;
	char number[16] = "";
	uint64_t fd;

	if (options->device_count == VMM_DEVICES_MAX)
		return why_set(why, -EINVAL, "--device given more than %d times", VMM_DEVICES_MAX);
	if (type > 0 && type < sizeof(device->type)) {
		rest = strchr(colon + 1, ':');
		snprintf(number, sizeof(number), "%.*s",
		         rest ? (int)BASE_MIN(rest - colon - 1, 15) : 15, colon + 1);
		memcpy(device->type, text, type);
		device->options = rest ? rest + 1 : "";
	}
	if (options_number(number, INT32_MAX, &fd) < 0)
		return why_set(why, -EINVAL, "--device '%.60s': expected TYPE:FD[:key=value...]",
		               text);
	device->fd = (int)fd;
	options->device_count++;
	return 0;
}

static int options_action(const char *text, enum options_kind kind, enum vmm_action *action)
{
	static const struct {
		const char *word;
		enum vmm_action action;
		bool panic, watchdog; /* where it is a word */
	} words[] = {
	        {"stop", VMM_ACTION_STOP, true, true},
	        {"pause", VMM_ACTION_PAUSE, true, true},
	        {"log", VMM_ACTION_LOG, true, false},
	        {"reset", VMM_ACTION_RESET, false, true},
	};

	for (size_t i = 0; i < BASE_COUNT(words); i++)
		if (strcmp(text, words[i].word) == 0 &&
		    (kind == OPTION_PANIC ? words[i].panic : words[i].watchdog)) {
			*action = words[i].action;
			return 0;
		}
	return -EINVAL;
}

static int options_set(struct options *options, size_t index, const char *text, char *why)
{
	char *field = (char *)options + options_table[index].at;
	uint64_t number;

	switch (options_table[index].kind) {
	case OPTION_TEXT: *(const char **)field = text; return 0;
	case OPTION_FLAG: *(bool *)field = options_table[index].value; return 0;
	case OPTION_DEVICE: return options_device(options, text, why);
	case OPTION_CPU: return cpuid_model_parse(&options->cpu, text, why);
	case OPTION_NODE:
		if (options_number(text, VM_NODES_MAX - 1, &number) < 0)
			return why_set(why, -EINVAL, "--numa '%.60s': expected 0 to %d", text,
			               VM_NODES_MAX - 1);
		options->node = (int)number;
		return 0;
	case OPTION_PRIVATE:
		if (!private_type_parse(text, (uint32_t *)field))
			return why_set(why, -EINVAL, "--private '%.60s': expected sw-protected",
			               text);
		return 0;
	case OPTION_CONFIDENTIAL: return measured_parse(&options->measured, text, why);
	case OPTION_PANIC:
	case OPTION_WATCHDOG:
		if (options_action(text, options_table[index].kind, (enum vmm_action *)field) < 0)
			return why_set(why, -EINVAL, "--%s '%.60s': expected stop, pause or %s",
			               options_table[index].name, text,
			               options_table[index].kind == OPTION_PANIC ? "log" : "reset");
		return 0;
	case OPTION_FD:
		if (options_number(text, INT32_MAX, &number) < 0)
			return why_set(why, -EINVAL,
			               "--%s '%.60s': expected a file descriptor's number",
			               options_table[index].name, text);
		*(int *)field = (int)number;
		return 0;
	case OPTION_VCPUS:
		if (options_number(text, VMM_VCPUS_MAX, &number) < 0 || number == 0)
			return why_set(why, -EINVAL, "--vcpus '%.60s': expected 1 to %d", text,
			               VMM_VCPUS_MAX);
		options->vcpus = (unsigned int)number;
		return 0;
	case OPTION_MEMORY:
		if (options_number(text, INT64_MAX, &options->memory) < 0)
			return why_set(why, -EINVAL, "--memory '%.60s': expected bytes", text);
		return 0;
	}
	return -EINVAL;
}

int options_parse(struct options *options, int argc, char *const argv[], char *why)
{
	struct option list[BASE_COUNT(options_table) + 1] = {0};
	int index = 0, error, found;

	for (size_t i = 0; i < BASE_COUNT(options_table); i++)
		list[i] = (struct option){
		        .name = options_table[i].name,
		        .has_arg = options_table[i].kind == OPTION_FLAG ? no_argument
		                                                        : required_argument,
		};
	*options = (struct options){
	        .name = "vm",
	        .cmdline = "",
	        .vcpus = 1,
	        .node = -1,
	        .sandbox = true,
	        .kvm = -1,
	        .memfd = -1,
	        .kernel = -1,
	        .initrd = -1,
	        .firmware = -1,
	        .control = -1,
	        .console = -1,
	        .serial_log = -1,
	        .serial_old = -1,
	        .last = -1,
	        .board = {.panic = VMM_ACTION_STOP},
	};
	opterr = 0;
	optind = 1;
	while ((found = getopt_long(argc, argv, "", list, &index)) == 0) {
		error = options_set(options, (size_t)index, optarg, why);
		if (error)
			return error;
	}
	if (found != -1)
		return why_set(why, -EINVAL, "'%.60s': no such option, or its value is missing",
		               argv[optind - 1]);
	if (optind < argc)
		return why_set(why, -EINVAL, "'%.60s': expected no argument", argv[optind]);
	if (options->kvm < 0 || options->memfd < 0 || options->memory == 0 ||
	    (options->kernel < 0 && options->firmware < 0 && !options->measured.given))
		return why_set(why, -EINVAL,
		               "--kvm, --memfd, --memory and --kernel (or --firmware, "
		               "--confidential) are needed");
	if (options->measured.given && (options->firmware >= 0 || options->private))
		return why_set(
		        why, -EINVAL,
		        "--confidential with --firmware or --private: it has a firmware, and "
		        "private memory, of its own");
	if (options->initrd >= 0 && options->kernel < 0)
		return why_set(why, -EINVAL, "--initrd without --kernel");
	if (options->control < 0 && !options->stdio)
		return why_set(why, -EINVAL, "--control is needed (or --stdio, to run by hand)");
	return 0;
}
