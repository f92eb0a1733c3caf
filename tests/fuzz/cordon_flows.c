/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the command does with what a monitor answers, which may have been taken over: the first line is a filter's
 * expression, each other one a flow or a guest's counters, as JSON. Whatever they are, what is learned of them is a
 * policy.
 */
#include "base/base.h"
#include "cordon/filter.h"
#include "cordon/learn.h"
#include "cordon/prometheus.h"
#include "cordon/top.h"
#include "policies/internal.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_learned(struct learn *learn)
{
	static const char base[] = "version: 1\nguard: {name: a, mac: \"02:00:00:00:00:01\", "
	                           "addresses: [10.0.0.2, \"fd00::2\"]}\n";
	static struct policy policy;
	static struct policy_errors errors;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err = learn_write(learn, out, base);

	fclose(out);
	memset(&policy, 0, sizeof(policy));
	memset(&errors, 0, sizeof(errors));
	require(err == -E2BIG || policy_parse_here(text, size, &policy, &errors) == 0);
	free(text);
}

static void check_counters(json_t *one)
{
	json_t *stats = json_pack("{s:[O], s:[O]}", "guests", one, "sinks", one);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	prometheus_write(out, stats);
	fclose(out);
	require(size > 0 && text[size - 1] == '\n');
	free(text);
	json_decref(stats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = strndup((const char *)data, size), *rest = copy, *line;
	char why[FILTER_WHY_MAX];
	struct filter *filter = filter_make(copy ? strsep(&rest, "\n") : "", why);
	struct learn *learn = learn_new();
	struct top *top = top_new();

	require(copy && learn && top && (filter || why[0]));
	top_begin(top);
	while ((line = strsep(&rest, "\n"))) {
		json_t *json = json_loads(line, 0, NULL);

		if (!json)
			continue;
		filter_has(filter, json);
		learn_flow(learn, json);
		top_flow(top, json);
		top_guest(top, json);
		check_counters(json);
		json_decref(json);
	}
	top_end(top, TOP_BY_TOTAL, size % 2);
	check_learned(learn);
	filter_free(filter);
	learn_free(learn);
	top_free(top);
	free(copy);
	return 0;
}
