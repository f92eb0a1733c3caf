/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of a sink of alerts, and what is wrong between them. See keys.c for the other tables.
 */
#include <ctype.h>

#include "policies/internal.h"

enum { KiB = 1024 };

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

static const struct policy_kind kind_absolute = {
        .noun = "an absolute path such as /etc/cordon/siem-ca.pem",
        .read = read_absolute,
};

/* What sinks by address are written as. */
static const struct sink_scheme {
	const char *prefix;
	enum policy_sink_type type;
	bool syslog, path;
} schemes[] = {
        {"udp://", POLICY_SINK_SYSLOG_UDP, true, false},
        {"tcp://", POLICY_SINK_SYSLOG_TCP, true, false},
        {"tls://", POLICY_SINK_SYSLOG_TLS, true, false},
        {"http://", POLICY_SINK_HTTP, false, true},
        {"https://", POLICY_SINK_HTTPS, false, true},
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

static bool read_scheme(const char *url, bool syslog, struct policy_sink *sink)
{
	for (size_t i = 0; i < BASE_COUNT(schemes); i++) {
		const struct sink_scheme *scheme = &schemes[i];

		if (scheme->syslog != syslog ||
		    strncmp(url, scheme->prefix, strlen(scheme->prefix)) != 0)
			continue;
		sink->type = scheme->type;
		return read_place(url + strlen(scheme->prefix), scheme->path, sink);
	}
	return false;
}

static void read_syslog(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	if (policy_walk_text(walk, key, value) && !read_scheme(value->text, true, base))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_syslog = {
        .noun = "udp://ADDRESS:PORT, tcp://ADDRESS:PORT or tls://ADDRESS:PORT, the address numeric",
        .read = read_syslog,
};

static void read_http(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	if (policy_walk_text(walk, key, value) && !read_scheme(value->text, false, base))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_http = {
        .noun = "http://ADDRESS:PORT/PATH or https://ADDRESS:PORT/PATH, the address numeric",
        .read = read_http,
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

static const struct policy_key keys_sink[] = {
        {"file", &kind_file, FIELD(policy_sink, target),
         .help = "a file that gets each alert as a line"},
        {"syslog", &kind_syslog, FIELD(policy_sink, target), .help = "an RFC 5424 syslog server"},
        {"http", &kind_http, FIELD(policy_sink, target),
         .help = "a collector that takes lines of JSON by POST"},
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
};

static void refuse(struct policy_walk *walk, const struct policy_node *node, const char *found,
                   const char *expected)
{
	policy_error_found(policy_walk_refuse(walk, node, "%s", expected), "%s", found);
}

/* Keys that only some sinks have. */
static bool check_where(struct policy_walk *walk, struct policy_node *map,
                        const struct policy_sink *sink)
{
	static const char *const tls[] = {"ca", "certificate", "key", "peer"};
	bool http = sink->type == POLICY_SINK_HTTP || sink->type == POLICY_SINK_HTTPS;
	bool secure = sink->type == POLICY_SINK_SYSLOG_TLS || sink->type == POLICY_SINK_HTTPS;
	const struct policy_node *node;

	for (size_t i = 0; i < BASE_COUNT(tls); i++)
		if (!secure && (node = policy_node_find(map, tls[i]))) {
			refuse(walk, node, "a key of TLS for a sink without TLS",
			       "tls:// or https://, or none of ca, certificate, key and peer");
			return false;
		}
	if (secure && !sink->ca[0])
		refuse(walk, map, "a sink with TLS and without ca", "ca, to know the receiver by");
	else if (!sink->certificate[0] != !sink->key[0])
		refuse(walk, map, "one of certificate and key", "both or neither");
	else if (!http && (node = policy_node_find(map, "token")))
		refuse(walk, node, "a token for a sink that is not http", "http, or no token");
	else if (sink->type == POLICY_SINK_FILE && (node = policy_node_find(map, "spool")))
		refuse(walk, node, "a spool for a file", "a receiver by address, or no spool");
	else
		return true;
	return false;
}

static void check_sink(struct policy_walk *walk, struct policy_node *map, void *base)
{
	struct policy_sink *sink = base;
	const struct policy_node *format = policy_node_find(map, "format");
	int kinds = !!policy_node_find(map, "file") + !!policy_node_find(map, "syslog") +
	            !!policy_node_find(map, "http");
	bool syslog = sink->type != POLICY_SINK_FILE && sink->type < POLICY_SINK_HTTP;

	if (map->bad)
		return;
	if (kinds != 1) {
		refuse(walk, map, kinds ? "a sink that is several" : "a sink that goes nowhere",
		       "one of file, syslog and http");
		return;
	}
	if (!format)
		sink->format = syslog ? POLICY_FORMAT_SYSLOG : POLICY_FORMAT_ECS;
	if (sink->spool == 0)
		sink->spool = 16 * KiB * KiB;
	if (!check_where(walk, map, sink))
		return;
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

bool policy_sink_valid(const struct policy_sink *sink)
{
	return sink->type <= POLICY_SINK_HTTPS && sink->format <= POLICY_FORMAT_OCSF &&
	       policy_text_valid(sink->target, sizeof(sink->target)) && sink->target[0] &&
	       (sink->type == POLICY_SINK_FILE
	                ? sink->target[0] == '/'
	                : is_path(sink->target + strspn(sink->target, "[]0123456789abcdef.:"))) &&
	       valid_path(sink->ca) && valid_path(sink->certificate) && valid_path(sink->key) &&
	       valid_path(sink->token) && policy_text_valid(sink->peer, sizeof(sink->peer)) &&
	       sink->spool >= 64 * KiB && sink->spool <= 1024ull * KiB * KiB;
}
