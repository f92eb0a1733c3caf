/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verbs: the command's verbs, one file each. A verb gets its own argv (argv[0] is the verb) and
 * returns the exit status of the command.
 */
#ifndef CORDON_VERBS_H
#define CORDON_VERBS_H

/* As container tools have them: 125 the tool failed, 126 the VM could not start, 127 there is none. */
enum verb_exit {
	VERB_OK = 0,
	VERB_REFUSED = 1,
	VERB_FAILED = 125,
	VERB_NOT_STARTED = 126,
	VERB_NOT_FOUND = 127
};

int verb_run(int argc, char **argv);
int verb_ps(int argc, char **argv);
int verb_inspect(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_kill(int argc, char **argv);
int verb_reset(int argc, char **argv);
int verb_pause(int argc, char **argv);
int verb_resume(int argc, char **argv);
int verb_quarantine(int argc, char **argv);
int verb_release(int argc, char **argv);
int verb_limit(int argc, char **argv);
int verb_balloon(int argc, char **argv);
int verb_console(int argc, char **argv);
int verb_logs(int argc, char **argv);
int verb_flows(int argc, char **argv);
int verb_alerts(int argc, char **argv);
int verb_stats(int argc, char **argv);
int verb_learn(int argc, char **argv);
int verb_top(int argc, char **argv);
int verb_analyze(int argc, char **argv);
int verb_measure(int argc, char **argv);
int verb_attest(int argc, char **argv);
int verb_id_block(int argc, char **argv);
int verb_capture(int argc, char **argv);
int verb_firewall(int argc, char **argv);
int verb_apply(int argc, char **argv);
int verb_guard(int argc, char **argv);
int verb_unguard(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_daemon(int argc, char **argv);
int verb_version(int argc, char **argv);
/* Internal: what a VM's keeper becomes when the VM has ended; also repairs by hand. */
int verb_reap(int argc, char **argv);
int verb_revive(int argc, char **argv);
/* Internal: the tap of a guarded guest has another name or bridge (mind.h). */
int verb_reguard(int argc, char **argv);
/* Internal: what cordon-serve has done for it (attend.h). */
int verb_attend(int argc, char **argv);

#endif
