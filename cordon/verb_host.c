/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs about the host: daemon, doctor, version. */
#include "cordon/cli.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>

#include "base/base.h"
#include "base/why.h"
#include "bpf/tap.h"
#include "cordon/verbs.h"
#include "isolate/isolate.h"

int verb_daemon(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordond\n\nServes the guests of this host to root and to the group "
	        "cordon, on /run/cordon/cordond.sock,\nuntil SIGTERM. Guests do not depend on "
	        "it: they run on when it ends.\n";
	struct host_error error = {0};
	struct cli_options options;
	int status = cli_simple(argc, argv, usage, 0, 0, &options);

	if (status >= 0)
		return status;
	if (rpc_serve(&error) < 0)
		return cli_failed(&error, options.json);
	return VERB_OK;
}

int verb_version(int argc, char **argv)
{
	struct cli_options options;
	int status = cli_simple(argc, argv, "usage: cordon version [--format table|json]\n", 0, 0,
	                        &options);

	if (status >= 0)
		return status;
	printf(options.json ? "{\"version\":\"%s\"}\n" : "cordon %s\n", CORDON_VERSION);
	return VERB_OK;
}

/* One thing that guests need of the host: what it is, and what is missing, or NULL. */
struct doctor_check {
	const char *what;
	const char *missing;
	bool needed;
};

static const char *doctor_kvm(void)
{
	BASE_AUTO_FD int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		return "/dev/kvm cannot be opened: load kvm-intel or kvm-amd";
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return "KVM's API is not version 12";
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) <= 0)
		return "KVM has no split irqchip";
	return NULL;
}

static const char *doctor_firewall(void)
{
	struct firewall *fw = firewall_open();
	const char *missing = "libnftables gives no context";

	if (fw && firewall_host_check(fw, &missing))
		missing = NULL;
	if (fw)
		firewall_close(fw);
	return missing;
}

static const char *doctor_bridge(void)
{
	struct firewall *fw = firewall_open();
	const char *missing = "libnftables gives no context";

	if (fw && firewall_host_check_bridge(fw, &missing))
		missing = NULL;
	if (fw)
		firewall_close(fw);
	return missing;
}

/* Other people's chains that drop what guests forward; what to do about it is theirs to decide. */
static const char *doctor_foreign(char *text, size_t size)
{
	struct firewall_foreign chain;
	struct firewall *fw = firewall_open();
	int count = fw ? firewall_foreign(fw, &chain, 1) : 0;

	if (fw)
		firewall_close(fw);
	if (count <= 0)
		return NULL;
	snprintf(text, size,
	         "the chain %s%s drops what is forwarded unless a rule there accepts it (%s): "
	         "guests' "
	         "packets (interfaces cn*) need one",
	         chain.chain, count > 1 ? ", and not it alone," : "",
	         chain.policy ? "its policy" : "its last rule");
	return text;
}

static const char *doctor_confidential(enum policy_confidential_type type, char why[WHY_MAX])
{
	return host_confidential(type, why) == 0 ? NULL : why;
}

int verb_doctor(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon doctor [--format table|json]\n\nSays what this host can and "
	        "cannot do. Exit status 1 when guests cannot run here.\n";
	struct cli_options options;
	const char *isolate = NULL, *bpf = NULL;
	char foreign[400], cc[5][WHY_MAX];
	bool good = true;
	json_t *list;
	int status = cli_simple(argc, argv, usage, 0, 0, &options);

	if (status >= 0)
		return status;
	if (isolate_host_check(&isolate))
		isolate = NULL;
	if (tap_watch_host_check(&bpf))
		bpf = NULL;
	const struct doctor_check checks[] = {
	        {"root", geteuid() == 0 ? NULL : "run it as root to see the rest", true},
	        {"kvm", doctor_kvm(), true},
	        {"tun", access("/dev/net/tun", R_OK | W_OK) == 0 ? NULL : "no /dev/net/tun", true},
	        {"nftables", doctor_firewall(), true},
	        {"bpf", bpf, true},
	        {"sandbox", isolate, true},
	        {"mode bridge", doctor_bridge(), false},
	        {"dnsmasq", access("/usr/sbin/dnsmasq", X_OK) == 0 ? NULL : "no /usr/sbin/dnsmasq",
	         true},
	        {"cgroup v2",
	         access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0
	                 ? NULL
	                 : "not mounted at /sys/fs/cgroup: policies with limits under isolation "
	                   "are refused",
	         false},
	        {"other firewalls", doctor_foreign(foreign, sizeof(foreign)), false},
	        {"sev", doctor_confidential(POLICY_CC_SEV, cc[0]), false},
	        {"sev-es", doctor_confidential(POLICY_CC_SEV_ES, cc[1]), false},
	        {"sev-snp", doctor_confidential(POLICY_CC_SEV_SNP, cc[2]), false},
	        {"tdx", doctor_confidential(POLICY_CC_TDX, cc[3]), false},
	        {"sw-protected", doctor_confidential(POLICY_CC_SW_PROTECTED, cc[4]), false},
	};
	list = json_array();
	for (size_t i = 0; i < BASE_COUNT(checks); i++) {
		good = good && (!checks[i].missing || !checks[i].needed);
		json_array_append_new(list,
		                      json_pack("{s:s, s:b, s:b, s:s?}", "check", checks[i].what,
		                                "ok", !checks[i].missing, "needed",
		                                checks[i].needed, "missing", checks[i].missing));
		if (!options.json)
			printf("%-20s %s%s\n", checks[i].what,
			       checks[i].missing ? "missing: " : "ok",
			       checks[i].missing ? checks[i].missing : "");
	}
	if (options.json)
		cli_print_json(list);
	else
		printf("%-20s %s\n%-20s %s\n", "confidential guests", host_confidential_limits,
		       "sw-protected guests", "for tests: their memory is protected from nothing");
	json_decref(list);
	return good ? VERB_OK : VERB_REFUSED;
}
