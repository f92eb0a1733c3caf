/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hostile guest's list of what to do: every class (in a guest with private memory, those about that), or
 * the one that test=NAME on the command line names. It says `hostile: NAME ok` or `hostile: NAME fail: WHY` on the serial port for each, then
 * `hostile: done`; waits for a byte there, so that whoever tests can look at the host, and switches off.
 */
#include "tests/hostile/class.h"

enum { WAIT_MS = 120000 };

static const struct hostile_class *const usual[] = {chain_classes, register_classes, msix_classes,
                                                    pci_classes,   machine_classes,  race_classes,
                                                    NULL};
static const struct hostile_class *const with_private[] = {private_classes, NULL};
static const struct hostile_class *const *lists = usual;

void hostile_main(void);

static const char *all_good(void)
{
	const char *bad = NULL;

	for (unsigned int i = 0; i < device_count && !bad; i++)
		bad = devices[i].kind->good(&devices[i]);
	return bad;
}

/* The class at one device; then that device from its start, and its neighbour as it is. */
static const char *run_on(const struct hostile_class *class, unsigned int index)
{
	struct device *d = &devices[index], *other = &devices[(index + 1) % device_count];
	const char *bad = class->run(d);

	if (bad)
		return why("%s: %s", device_name(d), bad);
	bad = device_revive(d);
	if (bad)
		return why("%s, behind it: %s", device_name(d), bad);
	bad = other->kind->good(other);
	return bad ? why("%s, and then of another: %s", device_name(d), bad) : NULL;
}

/* After a failure all devices start anew, so that one class does not fail for another. */
static void run_class(const struct hostile_class *class)
{
	uint64_t start = time_ms();
	const char *bad = NULL;

	if (class->alone)
		bad = class->run(NULL);
	for (unsigned int i = 0; i < device_count && !bad && !class->alone; i++)
		bad = run_on(class, i);
	if (!bad)
		bad = all_good();
	if (bad)
		say("hostile: %s fail: %s\n", class->name, bad);
	else
		say("hostile: %s ok %lu ms\n", class->name, time_ms() - start);
	for (unsigned int i = 0; i < device_count && bad; i++)
		device_start(&devices[i]);
}

/* Runs all, or only the one of that name; or just counts them. */
static unsigned int run_all(const char *only, bool run)
{
	unsigned int count = 0;

	for (unsigned int i = 0; lists[i]; i++)
		for (const struct hostile_class *class = lists[i]; class->name; class ++) {
			if (*only && !text_same(only, class->name))
				continue;
			count++;
			if (run)
				run_class(class);
		}
	return count;
}

void hostile_main(void)
{
	char only[40] = "";
	const char *bad;
	uint64_t end;

	cpu_init();
	devices_find();
	option("test", only, sizeof(only));
	if (device_count > 0 && features_offered(&devices[0]) & BIT(F_ACCESS_PLATFORM))
		lists = with_private;
	for (unsigned int i = 0; i < device_count; i++) {
		msix_enable(&devices[i]);
		bad = device_revive(&devices[i]);
		if (bad)
			say("hostile: start fail: %s\n", bad);
	}
	say("hostile: %u classes on %u devices, %lu MiB\n", run_all(only, false), device_count,
	    memory_end() >> 20);
	run_all(only, true);
	say("hostile: done\n");
	for (end = time_ms() + WAIT_MS; !serial_typed() && time_ms() < end;)
		pause_ms(10);
	power_off();
}
