/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's own alerts about a VM. They go into the host's alert log, beside the monitor's, in the same form
 * (Elastic Common Schema), and to the sinks of the VM's policy: whoever looks for escape attempts looks
 * there. They do not pass through the monitor: a VM without a NIC has none, and its alerts' budget, which a guest
 * can use up, must not keep back that it tried to escape. Nothing here is of a guest's choosing but a count.
 */
#include "cordon/report.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/base.h"
#include "monitor/alert_text.h"

/* One alert, before it is JSON or syslog. */
struct report {
	const char *rule, *action, *category, *type;
	enum alert_severity severity;
	bool escape;
	char reason[80];    /* how it ended */
	char sentence[256]; /* without the VM's name */
	pid_t pid;          /* of the process that it is about; 0: of none */
	const char *role;
	json_t *cordon; /* what ECS has no field for; owned */
	char id[128], time[32], log[POLICY_PATH_MAX];
};

static void report_how(char *out, size_t size, int status)
{
	const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	if (WIFEXITED(status))
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	else if (name)
		snprintf(out, size, "SIG%s", name);
	else
		snprintf(out, size, "signal %d", WTERMSIG(status));
}

/* The words are ECS's. */
static json_t *report_json(const struct host_vm *vm, const struct report *report, const char *host)
{
	json_t *json = json_pack(
	        "{s:s, s:{s:s}, s:o, s:{s:s, s:[s], s:[s], s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s},"
	        " s:{s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:{s:s}}, s:O}",
	        "@timestamp", report->time, "ecs", "version", ALERT_ECS_VERSION, "message",
	        json_sprintf("%s %s", vm->name, report->sentence), "event", "kind", "alert",
	        "category", report->category, "type", report->type, "action", report->action,
	        "reason", report->reason, "module", "cordon", "dataset", "cordon.alert", "id",
	        report->id, "severity", (int)report->severity, "start", report->time, "end",
	        report->time, "rule", "name", report->rule, "id", report->rule, "host", "name",
	        vm->name, "observer", "type", "ids", "product", "cordon", "hostname", host, "log",
	        "file", "path", report->log, "cordon", report->cordon);

	if (json && report->pid)
		json_object_set_new(
		        json, "process",
		        json_pack("{s:i, s:s}", "pid", (int)report->pid, "name", report->role));
	if (json && report->escape)
		json_object_set_new(json, "threat",
		                    json_pack("{s:s, s:{s:[s], s:[s]}, s:{s:[s], s:[s]}}",
		                              "framework", "MITRE ATT&CK", "technique", "id",
		                              "T1611", "name", "Escape to Host", "tactic", "id",
		                              "TA0004", "name", "Privilege Escalation"));
	return json;
}

static void report_syslog(const struct host_vm *vm, const struct report *report, const char *host,
                          char out[ALERT_SYSLOG_MAX])
{
	FILE *stream = fmemopen(out, ALERT_SYSLOG_MAX, "w");
	char severity[16];

	out[0] = '\0';
	if (!stream)
		return;
	snprintf(severity, sizeof(severity), "%d", (int)report->severity);
	alert_syslog_begin(stream, report->severity, report->time, host, report->rule);
	alert_syslog_param(stream, "id", report->id);
	alert_syslog_param(stream, "vm", vm->name);
	alert_syslog_param(stream, "stage", "new");
	if (report->escape)
		alert_syslog_param(stream, "technique", "T1611");
	alert_syslog_param(stream, "severity", severity);
	alert_syslog_param(stream, "reason", report->reason);
	alert_syslog_param(stream, "log", report->log);
	fprintf(stream, "] %s %s", vm->name, report->sentence);
	fclose(stream);
	out[ALERT_SYSLOG_MAX - 1] = '\0';
}

static void report_sinks(const struct host_vm *vm, const struct report *report, const char *host,
                         uint64_t now, const char *ecs, const char *syslog)
{
	char message[sizeof(report->sentence) + POLICY_NAME_MAX];
	struct alert_view view = {.id = report->id,
	                          .rule = report->rule,
	                          .stage = "new",
	                          .message = message,
	                          .severity = report->severity,
	                          .confidence = 100,
	                          .vm = vm->name,
	                          .observer = host,
	                          .first_ns = now,
	                          .last_ns = now};

	snprintf(message, sizeof(message), "%s %s", vm->name, report->sentence);
	if (report->escape) {
		view.technique = "T1611";
		view.technique_name = "Escape to Host";
		view.tactic = "TA0004";
		view.tactic_name = "Privilege Escalation";
	}
	sink_send_all(&view, ecs, syslog);
}

/* Says it everywhere, and lets go of what the report owns. */
static void report_send(const struct host_vm *vm, struct report *report)
{
	BASE_AUTO_FD int log = registry_log_open("alerts.json", O_APPEND);
	BASE_AUTO_FREE char *text = NULL, *line = NULL;
	char syslog[ALERT_SYSLOG_MAX], host[65] = "";
	struct timespec clock;
	uint64_t now;
	json_t *json;

	clock_gettime(CLOCK_REALTIME, &clock);
	now = (uint64_t)clock.tv_sec * 1000000000 + (uint64_t)clock.tv_nsec;
	alert_time(report->time, now);
	snprintf(report->id, sizeof(report->id), "%s-%llx-%s-%d", vm->name,
	         (unsigned long long)vm->started, report->rule, (int)report->pid);
	snprintf(report->log, sizeof(report->log), HOST_LOG_DIR "/%s.log", vm->name);
	gethostname(host, sizeof(host) - 1);
	fprintf(stderr, "cordon: %s %s\n", vm->name, report->sentence);
	report_syslog(vm, report, host, syslog);
	json = report_json(vm, report, host);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	json_decref(report->cordon);
	report->cordon = NULL;
	if (!text || asprintf(&line, "%s\n", text) < 0) {
		line = NULL;
		fprintf(stderr, "cordon: the alert of it could not be written: %s\n",
		        strerror(ENOMEM));
		return;
	}
	/* one write: lines of the monitor's must not come between */
	if (log < 0 || write(log, line, strlen(line)) != (ssize_t)strlen(line))
		fprintf(stderr, "cordon: the alert of it could not be written to %s\n",
		        HOST_ALERT_LOG);
	report_sinks(vm, report, host, now, text, syslog);
}

void report_death(const struct host_vm *vm, const struct death *death)
{
	bool escape = WIFSIGNALED(death->status) && WTERMSIG(death->status) == SIGSYS;
	bool whole = strcmp(death->role, "vmm") == 0; /* with the vmm goes the VM */
	struct report report = {.rule = escape ? "process.escape" : "process.died",
	                        .action = escape ? "system-call-forbidden" : "process-died",
	                        .category = "process",
	                        .type = "end",
	                        .severity = escape  ? ALERT_CRITICAL
	                                    : whole ? ALERT_HIGH
	                                            : ALERT_MEDIUM,
	                        .escape = escape,
	                        .pid = death->pid,
	                        .role = death->role};

	report_how(report.reason, sizeof(report.reason), death->status);
	snprintf(report.sentence, sizeof(report.sentence), "its process %s (pid %d) died: %s%s%s%s",
	         death->role, (int)death->pid, report.reason,
	         escape ? ", a system call that its role does not have: possibly an escape attempt"
	                : "",
	         death->became[0] ? "; " : "", death->became);
	report.cordon =
	        json_pack("{s:s, s:{s:s, s:i, s:s, s:i, s:s}}", "stage", "new", "process", "role",
	                  death->role, "pid", (int)death->pid, "ended", report.reason, "restarts",
	                  (int)death->restarts, "became", death->became);
	report_send(vm, &report);
}

static pid_t report_vmm_pid(const struct host_vm *vm)
{
	for (size_t i = 0; i < vm->process_count; i++)
		if (strcmp(vm->processes[i].role, "vmm") == 0)
			return vm->processes[i].pid;
	return 0;
}

/* What of a guest's, or of KVM's doing ends a run. */
static const struct report_kind {
	unsigned int end;
	const char *rule, *action;
	enum alert_severity severity;
	const char *sentence;
} report_kinds[] = {
        {VMM_END_PANIC, "guest.panic", "guest-panicked", ALERT_MEDIUM,
         "its guest's kernel has panicked"},
        {VMM_END_WATCHDOG, "guest.watchdog", "watchdog-expired", ALERT_MEDIUM,
         "its guest hangs: the watchdog has expired"},
        {VMM_END_KVM_ERROR, "guest.kvm_error", "kvm-error", ALERT_HIGH,
         "KVM could not go on with its guest; the registers are in its log"},
};

/* True when it is one of those. `code` is how the run ended, which a panic may not be. */
static bool report_kind_send(const struct host_vm *vm, unsigned int end, unsigned int code,
                             uint64_t panics, const char *became)
{
	const struct report_kind *kind = NULL;
	const char *reason = vmm_end_text(code);
	struct report report = {.category = "host", .type = code == end ? "end" : "info"};

	for (size_t i = 0; i < BASE_COUNT(report_kinds); i++)
		if (report_kinds[i].end == end)
			kind = &report_kinds[i];
	if (!kind)
		return false;
	report.rule = kind->rule;
	report.action = kind->action;
	report.severity = kind->severity;
	base_copy_string(report.reason, sizeof(report.reason), vmm_end_text(end));
	snprintf(report.sentence, sizeof(report.sentence), "%s%s%s", kind->sentence,
	         became[0] ? "; " : "", became);
	report.cordon =
	        json_pack("{s:s, s:{s:s, s:i, s:I, s:i, s:s}}", "stage", "new", "end", "reason",
	                  reason ? reason : "unknown", "exit", (int)code, "panics",
	                  (json_int_t)panics, "restarts", (int)vm->restarts, "became", became);
	report_send(vm, &report);
	return true;
}

/* A vmm that we killed was meant to be; any other signal is its own doing, its guest's, or the host's. */
static bool report_expected(struct host_end end)
{
	int status = end.status;

	if (WIFSIGNALED(status))
		return end.asked && WTERMSIG(status) == SIGKILL;
	switch (WEXITSTATUS(status)) {
	case VMM_END_POWEROFF:
	case VMM_END_RESET:
	case VMM_END_TRIPLE_FAULT:
	case VMM_END_RESTART: return true;
	default: return false;
	}
}

void report_end(const struct host_vm *vm, struct host_end end, uint64_t panics, bool again)
{
	int status = end.status;
	unsigned int code = status >= 0 && WIFEXITED(status) ? (unsigned int)WEXITSTATUS(status)
	                                                     : 128 + (unsigned int)WTERMSIG(status);
	const char *became = again ? "it is started again" : "the VM has ended";
	struct death death = {.role = "vmm",
	                      .pid = report_vmm_pid(vm),
	                      .status = status,
	                      .restarts = vm->restarts,
	                      .became = became};

	if (status < 0)
		return;
	/* one that the policy let run on, or paused, until it ended otherwise */
	if (panics > 0 && code != VMM_END_PANIC)
		report_kind_send(vm, VMM_END_PANIC, code, panics, became);
	if (!report_kind_send(vm, code, code, panics, became) && !report_expected(end))
		report_death(vm, &death);
}

void report_tampered(const struct host_vm *vm, const char *process, pid_t pid, const char *failed)
{
	struct report report = {.rule = "firewall.tampered",
	                        .action = "rules-changed",
	                        .category = "configuration",
	                        .type = "change",
	                        .severity = failed[0] ? ALERT_CRITICAL : ALERT_HIGH,
	                        .pid = pid,
	                        .role = process};
	char name[24];

	/* a process may call itself anything */
	snprintf(name, sizeof(name), "%s", process[0] ? process : "somebody");
	for (char *c = name; *c; c++)
		if (*c < ' ' || *c > '~' || *c == '"' || *c == ']' || *c == '\\')
			*c = '?';
	report.role = name;
	base_copy_string(report.reason, sizeof(report.reason), "changed by somebody else");
	snprintf(report.sentence, sizeof(report.sentence),
	         "its rules were changed by %s (pid %d); %s%s%.100s", name, (int)pid,
	         !vm->guard  ? "its taps were closed, and "
	         : failed[0] ? "its tap is closed, and will "
	                     : "",
	         failed[0] ? "stay so: " : "the rules of its policy are loaded again", failed);
	report.cordon = json_pack("{s:s, s:{s:s, s:i, s:b}}", "stage", "new", "change", "process",
	                          name, "pid", (int)pid, "restored", !failed[0]);
	report_send(vm, &report);
}

void report_guard(const struct host_vm *vm, enum report_guard what, const char *failed)
{
	static const struct {
		const char *rule, *action, *type;
		enum alert_severity severity;
		const char *reason, *sentence;
	} kinds[] = {
	        [REPORT_GUARD_ENDED] = {"guard.ended", "tap-gone", "end", ALERT_LOW,
	                                "the tap is gone",
	                                "is not guarded any more: its tap is gone"},
	        [REPORT_GUARD_KEEPER] = {"process.died", "process-died", "end", ALERT_MEDIUM,
	                                 "the keeper of the tap was killed",
	                                 "had nobody who minds its tap; its rules stood"},
	        [REPORT_GUARD_CHANGED] = {"guard.changed", "tap-changed", "change", ALERT_MEDIUM,
	                                  "the tap has another name or bridge",
	                                  "has its tap elsewhere, with the rules for it"},
	        [REPORT_GUARD_CLOSED] = {"guard.changed", "tap-closed", "change", ALERT_CRITICAL,
	                                 "the rules for where the tap is cannot be loaded",
	                                 "has its tap elsewhere, and closed"},
	};
	const char *tap = vm->nics[0].tap, *bridge = vm->nics[0].bridge;
	struct report report = {.rule = kinds[what].rule,
	                        .action = kinds[what].action,
	                        .category = "configuration",
	                        .type = kinds[what].type,
	                        .severity = kinds[what].severity};

	base_copy_string(report.reason, sizeof(report.reason), kinds[what].reason);
	snprintf(report.sentence, sizeof(report.sentence), "%s (%s%s%s)%s%.120s",
	         kinds[what].sentence, tap, bridge[0] ? " of " : "", bridge, failed[0] ? ": " : "",
	         failed);
	report.cordon = json_pack("{s:s, s:{s:s, s:s*}}", "stage", "new", "guard", "tap", tap,
	                          "bridge", bridge[0] ? bridge : NULL);
	report_send(vm, &report);
}
