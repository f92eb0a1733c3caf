/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The budget of alerts that each VM has, second by second: vms.c is a part of this file, and where its alerts
 * and actions go is counted here.
 */
#include <check.h>

#include "monitor/vms.c"

static struct monitor monitor;
static struct monitor_vm one = {.name = "one", .ifindex = 1, .monitor = &monitor};
static struct monitor_vm two = {.name = "two", .ifindex = 2, .monitor = &monitor};
static unsigned int sent, acted;
static uint32_t last_suppressed;

void stats_finding(struct monitor_vm *vm, const char *rule)
{
	(void)vm;
	(void)rule;
}

struct exported *exported_new(void)
{
	return NULL;
}

void exported_free(struct exported *exported)
{
	(void)exported;
}

bool exported_due(struct exported *exported, const struct flow_record *record, uint64_t now)
{
	(void)exported, (void)record, (void)now;
	return false;
}

int sinks_open(struct monitor_vm *vm, struct monitor_sink *sink)
{
	(void)vm, (void)sink;
	return 0;
}

void sinks_close(struct monitor_vm *vm, struct monitor_sink *sink)
{
	(void)vm;
	close(sink->fd);
}

void sinks_flow(struct monitor_vm *vm, const struct flow_record *record, enum ipfix_end end)
{
	(void)vm;
	(void)record;
	(void)end;
}

void sinks_flush(struct monitor_vm *vm)
{
	(void)vm;
}

void sinks_send(struct monitor *m, struct monitor_vm *vm, const struct alert *alert)
{
	(void)alert;
	ck_assert_ptr_eq(m, &monitor);
	sent++;
	last_suppressed = vm->suppressed;
}

void server_act(struct monitor *m, const char *vm, const struct alert *alert, uint32_t respond)
{
	(void)vm, (void)alert, (void)respond;
	ck_assert_ptr_eq(m, &monitor);
	acted++;
}

int lists_take(struct monitor *m, const char *path, int file, int *notify,
               struct monitor_list **out, struct intel_fault *fault)
{
	(void)path, (void)file, (void)notify, (void)out, (void)fault;
	ck_assert_ptr_eq(m, &monitor);
	return -ENOENT;
}

void lists_release(struct monitor_list *list)
{
	ck_abort_msg("a list %p that nobody took", (void *)list);
}

static void setup(void)
{
	one.budget = two.budget = VMS_BUDGET;
	one.suppressed = two.suppressed = 0;
	one.expected_count = 0;
	monitor = (struct monitor){.vms = {&one, &two}, .vm_count = 2};
	sent = acted = last_suppressed = 0;
}

static void alerts(struct monitor_vm *vm, unsigned int count, bool act)
{
	const struct alert alert = {.rule = "scan.vertical", .severity = ALERT_MEDIUM, .act = act};

	for (unsigned int i = 0; i < count; i++)
		vms_emit(&alert, vm);
}

static void seconds(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		vms_tick(&monitor, 0);
}

START_TEST(a_burst_is_sent_up_to_the_budget)
{
	alerts(&one, VMS_BUDGET, false);
	ck_assert_uint_eq(sent, VMS_BUDGET);
	alerts(&one, 1000, false);
	ck_assert_uint_eq(sent, VMS_BUDGET);
	ck_assert_uint_eq(one.suppressed, 1000);
}
END_TEST

START_TEST(what_is_low_leaves_half_of_it)
{
	const struct alert low = {.rule = "beacon.regular", .severity = ALERT_LOW};

	for (unsigned int i = 0; i < 10 * VMS_BUDGET; i++)
		vms_emit(&low, &one);
	ck_assert_uint_eq(sent, VMS_BUDGET / 2);
	alerts(&one, VMS_BUDGET, false);
	ck_assert_uint_eq(sent, VMS_BUDGET);
}
END_TEST

START_TEST(the_next_alert_says_how_many_were_not_sent)
{
	alerts(&one, VMS_BUDGET + 5, false);
	ck_assert_uint_eq(last_suppressed, 0);
	seconds(VMS_BUDGET_TICKS);
	alerts(&one, 2, false);
	ck_assert_uint_eq(sent, VMS_BUDGET + 1);
	ck_assert_uint_eq(last_suppressed, 5);
	ck_assert_uint_eq(one.suppressed, 1); /* counted anew */
	seconds(VMS_BUDGET_TICKS);
	alerts(&one, 1, false);
	ck_assert_uint_eq(last_suppressed, 1);
}
END_TEST

START_TEST(what_the_policy_asks_for_is_done_all_the_same)
{
	alerts(&one, VMS_BUDGET + 10, true);
	ck_assert_uint_eq(sent, VMS_BUDGET);
	ck_assert_uint_eq(acted, VMS_BUDGET + 10);
}
END_TEST

/* What the policy expects is neither sent nor answered, but counted. */
START_TEST(what_is_expected)
{
	static const struct policy_suppress expected[] = {
	        {.rule = "beacon.regular"},
	        {.rule = "brute.*"},
	        {.rule = "scan.vertical",
	         .peers = {{.family = 4, .prefix = 20, .addr = {192, 0, 32}}},
	         .peer_count = 1},
	        {.rule = "exfil.*", .timed = true, .from = 22 * 60, .to = 4 * 60},
	};
	static const struct {
		const char *rule;
		uint8_t target[16];
		unsigned int hour;
		bool sent;
	} cases[] = {
	        {"beacon.regular", {1}, 0, false},
	        {"beacon.jitter", {1}, 0, true},
	        {"brute.ssh", {1}, 0, false},
	        {"brutes.ssh", {1}, 0, true},
	        {"scan.vertical", {192, 0, 47, 1}, 0, false},
	        {"scan.vertical", {192, 0, 48, 1}, 0, true},
	        {"scan.vertical", {0}, 0, true}, /* of many */
	        {"exfil.volume", {1}, 23, false},
	        {"exfil.volume", {1}, 3, false},
	        {"exfil.volume", {1}, 4, true},
	        {"exfil.volume", {1}, 21, true},
	};

	memcpy(one.expected, expected, sizeof(expected));
	one.expected_count = BASE_COUNT(expected);
	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct alert alert = {.rule = cases[i].rule,
		                      .severity = ALERT_MEDIUM,
		                      .act = true,
		                      .family = FLOW_IPV4,
		                      .last_ns = cases[i].hour * DETECTOR_HOUR_NS};
		uint32_t before = one.suppressed;

		sent = acted = 0;
		memcpy(alert.target, cases[i].target, 16);
		vms_emit(&alert, &one);
		ck_assert_msg(sent == cases[i].sent && acted == cases[i].sent, "%zu", i);
		if (!cases[i].sent)
			ck_assert_uint_eq(one.suppressed, before + 1);
	}
}
END_TEST

START_TEST(one_guest_does_not_use_another_ones)
{
	alerts(&one, 10000, false);
	alerts(&two, VMS_BUDGET, false);
	ck_assert_uint_eq(sent, 2 * VMS_BUDGET);
	ck_assert_uint_eq(two.suppressed, 0);
}
END_TEST

/* A guest that alerts all the time gets its share and no more: 6 a minute behind the burst. */
START_TEST(the_mean_holds)
{
	for (unsigned int minute = 0; minute < 60; minute++) {
		unsigned int before = sent;

		for (unsigned int second = 0; second < 60; second++) {
			alerts(&one, 7, false);
			seconds(1);
		}
		if (minute > 0)
			ck_assert_uint_eq(sent - before, 60 / VMS_BUDGET_TICKS);
	}
}
END_TEST

START_TEST(a_long_silence_saves_no_more_than_the_budget)
{
	seconds(100000);
	alerts(&one, 2 * VMS_BUDGET, false);
	ck_assert_uint_eq(sent, VMS_BUDGET);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_budget");
	TCase *tests = tcase_create("budget");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, a_burst_is_sent_up_to_the_budget);
	tcase_add_test(tests, what_is_low_leaves_half_of_it);
	tcase_add_test(tests, the_next_alert_says_how_many_were_not_sent);
	tcase_add_test(tests, what_the_policy_asks_for_is_done_all_the_same);
	tcase_add_test(tests, what_is_expected);
	tcase_add_test(tests, one_guest_does_not_use_another_ones);
	tcase_add_test(tests, the_mean_holds);
	tcase_add_test(tests, a_long_silence_saves_no_more_than_the_budget);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
