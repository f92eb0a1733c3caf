/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of a sink, and what is wrong between them. See keys.c for the other tables.
 */
#include <ctype.h>

#include "policies/internal.h"

enum { KiB = 1024, SOCKET_PATH_MAX = 107 };

static void read_absolute(struct policy_walk *walk, const struct policy_key *key,
                          struct policy_node *value, void *base)
{
	if (!policy_walk_text(walk, key, value))
		return;
	if (value->text[0] != '/')
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_kind_path.read(walk, key, value, base);
}

static void read_file(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	struct policy_sink *sink = base;

	read_absolute(walk, key, value, base);
	sink->type = POLICY_SINK_FILE;
}

static const struct policy_kind kind_file = {
        .noun = "an absolute path such as /var/log/cordon/web0.json",
        .read = read_file,
};

static void read_unix(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	struct policy_sink *sink = base;

	if (policy_walk_text(walk, key, value) && strlen(value->text) > SOCKET_PATH_MAX)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		read_absolute(walk, key, value, base);
	sink->type = POLICY_SINK_UNIX;
}

static const struct policy_kind kind_unix = {
        .noun = "an absolute path such as /run/siem/cordon.sock, of at most 107 bytes",
        .read = read_unix,
};

static void read_stdout(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	struct policy_sink *sink = base;

	if (!policy_walk_text(walk, key, value))
		return;
	if (value->quoted || strcmp(value->text, "true") != 0)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	base_copy_string(sink->target, sizeof(sink->target), "stdout");
	sink->type = POLICY_SINK_STDOUT;
}

static const struct policy_kind kind_stdout = {.noun = "true", .read = read_stdout};

static const struct policy_kind kind_absolute = {
        .noun = "an absolute path such as /etc/cordon/siem-ca.pem",
        .read = read_absolute,
};

/* What sinks by address are written as. */
static const struct sink_scheme {
	const char *prefix;
	enum policy_sink_type type;
	const char *key;
	bool path;
} schemes[] = {
        {"udp://", POLICY_SINK_SYSLOG_UDP, "syslog", false},
        {"tcp://", POLICY_SINK_SYSLOG_TCP, "syslog", false},
        {"tls://", POLICY_SINK_SYSLOG_TLS, "syslog", false},
        {"http://", POLICY_SINK_HTTP, "http", true},
        {"https://", POLICY_SINK_HTTPS, "http", true},
        {"udp://", POLICY_SINK_IPFIX_UDP, "ipfix", false},
        {"tcp://", POLICY_SINK_IPFIX_TCP, "ipfix", false},
        {"tls://", POLICY_SINK_IPFIX_TLS, "ipfix", false},
};

/* What a path of a URL may hold as it is. */
static bool is_path(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("/-._~%?=&+,:@", *text))
			return false;
	return true;
}

/* ADDRESS:PORT[/PATH], the address numeric: resolving a name would need a network here. */
static bool read_place(const char *at, bool path, struct policy_sink *sink)
{
	size_t size = path ? strcspn(at, "/") : strlen(at), length;
	char place[128], address[64] = "", *colon;
	struct policy_cidr cidr;
	struct policy_ports port;
	bool host_bits, v6;

	if (size >= sizeof(place) || (path && !is_path(at + size)))
		return false;
	memcpy(place, at, size);
	place[size] = '\0';
	colon = strrchr(place, ':');
	if (!colon)
		return false;
	length = (size_t)(colon - place);
	v6 = length > 2 && place[0] == '[' && place[length - 1] == ']';
	if (length - 2 * v6 >= sizeof(address))
		return false;
	memcpy(address, place + v6, length - 2 * v6);
	if (strchr(address, '/') || policy_value_cidr(address, &cidr, &host_bits) ||
	    (cidr.family == 6) != v6 || strchr(colon, '-') || policy_value_ports(colon + 1, &port))
		return false;
	return snprintf(sink->target, sizeof(sink->target), v6 ? "[%s]:%u%s" : "%s:%u%s", address,
	                port.first, at + size) < (int)sizeof(sink->target);
}

static bool read_scheme(const char *url, const char *key, struct policy_sink *sink)
{
	for (size_t i = 0; i < BASE_COUNT(schemes); i++) {
		const struct sink_scheme *scheme = &schemes[i];

		if (strcmp(scheme->key, key) != 0 ||
		    strncmp(url, scheme->prefix, strlen(scheme->prefix)) != 0)
			continue;
		sink->type = scheme->type;
		return read_place(url + strlen(scheme->prefix), scheme->path, sink);
	}
	return false;
}

static void read_url(struct policy_walk *walk, const struct policy_key *key,
                     struct policy_node *value, void *base)
{
	if (policy_walk_text(walk, key, value) && !read_scheme(value->text, key->name, base))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_receiver = {
        .noun = "udp://ADDRESS:PORT, tcp://ADDRESS:PORT or tls://ADDRESS:PORT, the address numeric",
        .read = read_url,
};

static const struct policy_kind kind_http = {
        .noun = "http://ADDRESS:PORT/PATH or https://ADDRESS:PORT/PATH, the address numeric",
        .read = read_url,
};

static void read_peer(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	struct policy_sink *sink = base;

	if (policy_walk_text(walk, key, value) && policy_value_dns_name(value->text, sink->peer))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_peer = {
        .noun = "a name such as siem.example.org",
        .read = read_peer,
};

static const struct policy_word words_format[] = {
        {"syslog", POLICY_FORMAT_SYSLOG},
        {"ecs", POLICY_FORMAT_ECS},
        {"cef", POLICY_FORMAT_CEF},
        {"ocsf", POLICY_FORMAT_OCSF},
        {NULL, 0},
};

static const struct policy_word words_sync[] = {{"never", false}, {"always", true}, {NULL, 0}};

static const struct policy_key keys_sink[] = {
        {"file", &kind_file, FIELD(policy_sink, target),
         .help = "a file that gets each alert as a line"},
        {"syslog", &kind_receiver, FIELD(policy_sink, target), .help = "an RFC 5424 syslog server"},
        {"http", &kind_http, FIELD(policy_sink, target),
         .help = "a collector that takes lines of JSON by POST"},
        {"unix", &kind_unix, FIELD(policy_sink, target),
         .help = "a stream socket that gets each alert as a line"},
        {"stdout", &kind_stdout, FIELD(policy_sink, target),
         .help = "the standard output of who has started the guest"},
        {"ipfix", &kind_receiver, FIELD(policy_sink, target),
         .help = "an RFC 7011 collector: of flows, not of alerts"},
        {"format", &policy_kind_word, FIELD(policy_sink, format), .words = words_format,
         .fallback = "syslog for a syslog server, else ecs", .help = "how an alert is written"},
        {"ca", &kind_absolute, FIELD(policy_sink, ca),
         .help = "certificates (PEM) that the receiver's has to be signed by, for tls and https"},
        {"certificate", &kind_absolute, FIELD(policy_sink, certificate),
         .help = "our own certificate (PEM), for receivers that ask for one"},
        {"key", &kind_absolute, FIELD(policy_sink, key), .help = "the certificate's key (PEM)"},
        {"peer", &kind_peer, FIELD(policy_sink, peer), .fallback = "the address",
         .help = "the name that the receiver's certificate has to be for"},
        {"token", &kind_absolute, FIELD(policy_sink, token),
         .help = "a file that holds the value of the header Authorization, for http"},
        {"spool", &policy_kind_size, FIELD(policy_sink, spool), 64 * KiB, 1024 * KiB *KiB,
         .fallback = "16M", .help = "alerts that wait on disk while the receiver takes none"},
        {"rotate", &policy_kind_size, FIELD(policy_sink, rotate), 64 * KiB,
         1024ull * 1024 * KiB *KiB, .fallback = "never",
         .help = "how large a file becomes before another is begun"},
        {"keep", &policy_kind_uint, FIELD(policy_sink, keep), 1, 99, .fallback = "5",
         .help = "how many older files stay: FILE.1, FILE.2 and so on"},
        {"sync", &policy_kind_word, FIELD(policy_sink, sync), .words = words_sync,
         .fallback = "never", .help = "whether a file is on the disk before an alert is done"},
        {"domain", &policy_kind_uint, FIELD(policy_sink, domain), 1, UINT32_MAX, .fallback = "1",
         .help = "the observation domain of IPFIX"},
};

static void refuse(struct policy_walk *walk, const struct policy_node *node, const char *found,
                   const char *expected)
{
	policy_error_found(policy_walk_refuse(walk, node, "%s", expected), "%s", found);
}

static bool sink_is_file(enum policy_sink_type type)
{
	return type == POLICY_SINK_FILE;
}

static bool sink_is_alerts(enum policy_sink_type type)
{
	return !policy_sink_is_flows(type);
}

/* Keys that only some sinks have. */
static const struct sink_only {
	const char *key;
	bool (*has)(enum policy_sink_type type);
	const char *found, *expected;
} sink_only[] = {
        {"ca", policy_sink_is_tls, "a key of TLS for a sink without TLS",
         "tls:// or https://, or none of ca, certificate, key and peer"},
        {"certificate", policy_sink_is_tls, "a key of TLS for a sink without TLS",
         "tls:// or https://, or none of ca, certificate, key and peer"},
        {"key", policy_sink_is_tls, "a key of TLS for a sink without TLS",
         "tls:// or https://, or none of ca, certificate, key and peer"},
        {"peer", policy_sink_is_tls, "a key of TLS for a sink without TLS",
         "tls:// or https://, or none of ca, certificate, key and peer"},
        {"token", policy_sink_is_http, "a token for a sink that is not http", "http, or no token"},
        {"rotate", sink_is_file, "a key of files for a sink that is none",
         "file, or none of rotate, keep and sync"},
        {"keep", sink_is_file, "a key of files for a sink that is none",
         "file, or none of rotate, keep and sync"},
        {"sync", sink_is_file, "a key of files for a sink that is none",
         "file, or none of rotate, keep and sync"},
        {"domain", policy_sink_is_flows, "a domain for a sink that is not ipfix",
         "ipfix, or no domain"},
        {"format", sink_is_alerts, "a format for a sink of flows", "no format beside ipfix"},
};

static bool check_where(struct policy_walk *walk, struct policy_node *map,
                        const struct policy_sink *sink)
{
	const struct policy_node *node;

	for (size_t i = 0; i < BASE_COUNT(sink_only); i++)
		if (!sink_only[i].has(sink->type) &&
		    (node = policy_node_find(map, sink_only[i].key))) {
			refuse(walk, node, sink_only[i].found, sink_only[i].expected);
			return false;
		}
	if (policy_sink_is_tls(sink->type) && !sink->ca[0])
		refuse(walk, map, "a sink with TLS and without ca", "ca, to know the receiver by");
	else if (!sink->certificate[0] != !sink->key[0])
		refuse(walk, map, "one of certificate and key", "both or neither");
	else if (!sink->rotate && (node = policy_node_find(map, "keep")))
		refuse(walk, node, "keep without rotate", "rotate, or no keep");
	else
		return true;
	return false;
}

static void check_sink(struct policy_walk *walk, struct policy_node *map, void *base)
{
	static const char *const names[] = {"file", "syslog", "http", "unix", "stdout", "ipfix"};
	struct policy_sink *sink = base;
	const struct policy_node *format = policy_node_find(map, "format");
	bool syslog = policy_sink_is_syslog(sink->type);
	int kinds = 0;

	if (map->bad)
		return;
	for (size_t i = 0; i < BASE_COUNT(names); i++)
		kinds += !!policy_node_find(map, names[i]);
	if (kinds != 1) {
		refuse(walk, map, kinds ? "a sink that is several" : "a sink that goes nowhere",
		       "one of file, syslog, http, unix, stdout and ipfix");
		return;
	}
	if (!check_where(walk, map, sink))
		return;
	if (!format)
		sink->format = syslog ? POLICY_FORMAT_SYSLOG : POLICY_FORMAT_ECS;
	if (sink->spool == 0)
		sink->spool = 16 * KiB * KiB;
	if (sink->rotate && !sink->keep)
		sink->keep = 5;
	if (policy_sink_is_flows(sink->type) && !sink->domain)
		sink->domain = 1;
	if (!syslog && sink->format == POLICY_FORMAT_SYSLOG)
		refuse(walk, format, "format syslog for a sink that is not", "ecs, cef or ocsf");
}

const struct policy_map policy_map_sink = {
        .what = "a sink",
        .keys = keys_sink,
        .count = BASE_COUNT(keys_sink),
        .line = offsetof(struct policy_sink, line),
        .check = check_sink,
};

static bool valid_path(const char *path)
{
	return policy_text_valid(path, POLICY_PATH_MAX) && (!path[0] || path[0] == '/');
}

static bool valid_target(const struct policy_sink *sink)
{
	if (!policy_text_valid(sink->target, sizeof(sink->target)))
		return false;
	if (sink->type == POLICY_SINK_STDOUT)
		return strcmp(sink->target, "stdout") == 0;
	if (policy_sink_is_local(sink->type))
		return sink->target[0] == '/';
	return sink->target[0] &&
	       is_path(sink->target + strspn(sink->target, "[]0123456789abcdef.:"));
}

bool policy_sink_valid(const struct policy_sink *sink)
{
	return sink->type <= POLICY_SINK_IPFIX_TLS && sink->format <= POLICY_FORMAT_OCSF &&
	       valid_target(sink) && valid_path(sink->ca) && valid_path(sink->certificate) &&
	       valid_path(sink->key) && valid_path(sink->token) &&
	       policy_text_valid(sink->peer, sizeof(sink->peer)) && sink->spool >= 64 * KiB &&
	       sink->spool <= 1024ull * KiB * KiB && sink->keep <= 99 &&
	       (!sink->rotate || (sink->rotate >= 64 * KiB && sink->keep > 0));
}

/* What each kind is called, in metrics and to a reader. */
static const struct {
	const char *word, *phrase;
} sink_names[] = {
        [POLICY_SINK_FILE] = {"file", ""},
        [POLICY_SINK_SYSLOG_UDP] = {"syslog-udp", "syslog, UDP, "},
        [POLICY_SINK_SYSLOG_TCP] = {"syslog-tcp", "syslog, TCP, "},
        [POLICY_SINK_SYSLOG_TLS] = {"syslog-tls", "syslog, TLS, "},
        [POLICY_SINK_HTTP] = {"http", "HTTP, "},
        [POLICY_SINK_HTTPS] = {"https", "HTTPS, "},
        [POLICY_SINK_UNIX] = {"unix", "unix socket, "},
        [POLICY_SINK_STDOUT] = {"stdout", ""},
        [POLICY_SINK_IPFIX_UDP] = {"ipfix-udp", "flows by IPFIX, UDP, "},
        [POLICY_SINK_IPFIX_TCP] = {"ipfix-tcp", "flows by IPFIX, TCP, "},
        [POLICY_SINK_IPFIX_TLS] = {"ipfix-tls", "flows by IPFIX, TLS, "},
};
_Static_assert(BASE_COUNT(sink_names) == POLICY_SINK_IPFIX_TLS + 1, "each kind has a name");

const char *policy_sink_word(enum policy_sink_type type)
{
	return type < BASE_COUNT(sink_names) ? sink_names[type].word : "";
}

void policy_sink_explain(FILE *out, const struct policy_sink *sink)
{
	static const char *const formats[] = {"", ", as ECS", ", as CEF", ", as OCSF"};
	char size[POLICY_FORMAT_MAX];

	fprintf(out, "               %s%s%s", sink_names[sink->type].phrase, sink->target,
	        policy_sink_is_flows(sink->type) ? "" : formats[sink->format]);
	if (sink->rotate)
		fprintf(out, ", another at %s, %u kept", policy_format_size(sink->rotate, size),
		        sink->keep);
	fputs(sink->sync ? ", on the disk at once\n" : "\n", out);
}
