/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports that a process of a VM has died. The alert goes into the host's alert log, beside the monitor's, in
 * the same form (Elastic Common Schema): whoever looks for escape attempts looks there, and a VM without a
 * NIC has no monitor. The sinks of a policy are the monitor's alone and do not get it.
 */
#include "cordon/revive.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

#include "base/base.h"

enum { SEVERITY_MEDIUM = 47, SEVERITY_CRITICAL = 99, ID_BYTES = 16 };

static void death_how(char *out, size_t size, int status)
{
	const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	if (WIFEXITED(status))
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	else if (name)
		snprintf(out, size, "SIG%s", name);
	else
		snprintf(out, size, "signal %d", WTERMSIG(status));
}

static void death_id(char out[2 * ID_BYTES + 1])
{
	uint8_t bytes[ID_BYTES] = {0};

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) < 0)
		memset(bytes, 0, sizeof(bytes)); /* an alert without an id is better than none */
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void death_time(char out[40])
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* The words are ECS's; `cordon.process` is what it has no field for. */
static json_t *death_json(const char *vm, const struct death *death, const char *message,
                          bool escape)
{
	const char *rule = escape ? "process.escape" : "process.died";
	char now[40], id[2 * ID_BYTES + 1], host[256] = "", how[32];
	json_t *json;

	death_time(now);
	death_id(id);
	death_how(how, sizeof(how), death->status);
	gethostname(host, sizeof(host) - 1);
	json = json_pack("{s:s, s:{s:s}, s:s, s:{s:s, s:[s], s:[s], s:s, s:s, s:s, s:i, s:s, s:s},"
	                 " s:{s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:i, s:s},"
	                 " s:{s:s, s:{s:s, s:i, s:s, s:i, s:s}}}",
	                 "@timestamp", now, "ecs", "version", "9.0.0", "message", message, "event",
	                 "kind", "alert", "category", "process", "type", "end", "module", "cordon",
	                 "dataset", "cordon.alert", "id", id, "severity",
	                 escape ? SEVERITY_CRITICAL : SEVERITY_MEDIUM, "start", now, "end", now,
	                 "rule", "name", rule, "id", rule, "host", "name", vm, "observer", "type",
	                 "ids", "product", "cordon", "hostname", host, "process", "pid",
	                 (int)death->pid, "name", death->role, "cordon", "stage", "new", "process",
	                 "role", death->role, "pid", (int)death->pid, "ended", how, "restarts",
	                 (int)death->restarts, "became", death->became);
	if (json && escape)
		json_object_set_new(json, "threat",
		                    json_pack("{s:s, s:{s:[s], s:[s]}, s:{s:[s], s:[s]}}",
		                              "framework", "MITRE ATT&CK", "technique", "id",
		                              "T1611", "name", "Escape to Host", "tactic", "id",
		                              "TA0004", "name", "Privilege Escalation"));
	return json;
}

void death_report(const char *vm, const struct death *death)
{
	bool escape = WIFSIGNALED(death->status) && WTERMSIG(death->status) == SIGSYS;
	BASE_AUTO_FD int log = registry_log_open("alerts.json", O_APPEND);
	BASE_AUTO_FREE char *message = NULL, *text = NULL, *line = NULL;
	char how[32];
	json_t *json;

	death_how(how, sizeof(how), death->status);
	if (asprintf(&message, "%s its process %s (pid %d) died: %s%s%s%s", vm, death->role,
	             (int)death->pid, how,
	             escape ? ", a system call that its role does not have: possibly an escape "
	                      "attempt"
	                    : "",
	             death->became[0] ? "; " : "", death->became) < 0)
		return;
	fprintf(stderr, "cordon: %s\n", message);
	json = death_json(vm, death, message, escape);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	/* one write: lines of the monitor's must not come between */
	if (log < 0 || !text || asprintf(&line, "%s\n", text) < 0 ||
	    write(log, line, strlen(line)) != (ssize_t)strlen(line))
		fprintf(stderr, "cordon: the alert of it could not be written to %s\n",
		        HOST_ALERT_LOG);
}
