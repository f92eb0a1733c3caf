/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The notations of single values, from text and back.
 *
 * Numbers are decimal, without sign, leading zero or separator, so that none can be read in two
 * ways. Units are part of the value: K, M, G, T are powers of 1,024; bit, kbit, Mbit, Gbit powers of
 * 1,000, as network rates are. All are exact or refused.
 */
#include <arpa/inet.h>
#include <ctype.h>

#include "policies/internal.h"

/* Reads digits; *rest is what follows them. */
static int read_digits(const char *text, uint64_t *value, const char **rest)
{
	uint64_t n = 0;
	const char *at = text;

	if (!isdigit((unsigned char)*at) || (at[0] == '0' && isdigit((unsigned char)at[1])))
		return -EINVAL;
	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return -ERANGE;
	*value = n;
	*rest = at;
	return 0;
}

int policy_value_uint(const char *text, uint64_t *value)
{
	const char *rest;
	int error = read_digits(text, value, &rest);

	return error ? error : *rest ? -EINVAL : 0;
}

struct unit {
	const char *name;
	uint64_t times, per;
};

static int read_unit(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
	const char *rest;
	int error = read_digits(text, value, &rest);

	if (error)
		return error;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(*value, units[i].times, value))
			return -ERANGE;
		if (*value % units[i].per)
			return -EINVAL;
		*value /= units[i].per;
		return 0;
	}
	return -EINVAL;
}

static const struct unit sizes[] = {
        {"", 1, 1},           {"K", 1ull << 10, 1}, {"M", 1ull << 20, 1},
        {"G", 1ull << 30, 1}, {"T", 1ull << 40, 1},
};

static const struct unit bandwidths[] = {
        {"", 1, 1},    {"K", 1ull << 10, 1}, {"M", 1ull << 20, 1}, {"G", 1ull << 30, 1},
        {"bit", 1, 8}, {"kbit", 1000, 8},    {"Mbit", 1000000, 8}, {"Gbit", 1000000000, 8},
};

int policy_value_size(const char *text, uint64_t *value)
{
	return read_unit(text, sizes, BASE_COUNT(sizes), value);
}

int policy_value_bandwidth(const char *text, uint64_t *value)
{
	return read_unit(text, bandwidths, BASE_COUNT(bandwidths), value);
}

int policy_value_rate(const char *text, uint64_t *value)
{
	static const struct unit rates[] = {{"/s", 1, 1}};

	return read_unit(text, rates, BASE_COUNT(rates), value);
}

int policy_value_duration(const char *text, uint64_t *value)
{
	static const struct unit durations[] = {{"s", 1, 1}, {"m", 60, 1}, {"h", 3600, 1}};

	return read_unit(text, durations, BASE_COUNT(durations), value);
}

int policy_value_ports(const char *text, struct policy_ports *ports)
{
	uint64_t first, last;
	const char *rest;
	int error = read_digits(text, &first, &rest);

	if (error)
		return error;
	last = first;
	if (*rest == '-') {
		error = policy_value_uint(rest + 1, &last);
		if (error)
			return error;
	} else if (*rest) {
		return -EINVAL;
	}
	if (first < 1 || last > UINT16_MAX || first > last)
		return -ERANGE;
	*ports = (struct policy_ports){(uint16_t)first, (uint16_t)last};
	return 0;
}

int policy_value_name(const char *text, char name[POLICY_NAME_MAX])
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (length == 0 || text[length] || text[0] == '-' || length >= POLICY_NAME_MAX)
		return -EINVAL;
	return base_copy_string(name, POLICY_NAME_MAX, text);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int policy_value_mac(const char *text, uint8_t mac[6])
{
	if (strlen(text) != 17)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		int high = hex_digit(text[i * 3]), low = hex_digit(text[i * 3 + 1]);

		if (high < 0 || low < 0 || (i < 5 && text[i * 3 + 2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int policy_value_dns_name(const char *text, char name[POLICY_DNS_NAME_MAX])
{
	size_t length = strlen(text), label = 0, dots = 0;

	if (length == 0 || length >= POLICY_DNS_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i <= length; i++) {
		char c = (char)tolower((unsigned char)text[i]);

		name[i] = c;
		if (c == '.' || c == '\0') {
			if (label == 0 || label > 63 || text[i - 1] == '-')
				return -EINVAL;
			dots += c == '.';
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || isdigit((unsigned char)c) ||
		      (c == '-' && label > 0)))
			return -EINVAL;
		label++;
	}
	/* A last label of digits is an address, mistyped (RFC 3696, section 2). */
	return dots == 0 || isdigit((unsigned char)strrchr(text, '.')[1]) ? -EINVAL : 0;
}

int policy_value_dns_pattern(const char *text, char name[POLICY_DNS_NAME_MAX])
{
	char rest[POLICY_DNS_NAME_MAX];
	int error;

	if (strncmp(text, "*.", 2) != 0)
		return policy_value_dns_name(text, name);
	error = policy_value_dns_name(text + 2, rest);
	if (error || strlen(text) >= POLICY_DNS_NAME_MAX)
		return -EINVAL;
	memcpy(name, "*.", 2);
	memcpy(name + 2, rest, strlen(rest) + 1);
	return 0;
}

/* Clears the bits past the prefix; true when one was set. */
static bool clear_host_bits(struct policy_cidr *cidr)
{
	size_t bytes = cidr->family == 4 ? 4 : 16;
	bool any = false;

	for (size_t i = 0; i < bytes; i++) {
		size_t bits = cidr->prefix > i * 8 ? BASE_MIN(cidr->prefix - i * 8, (size_t)8) : 0;
		uint8_t mask = (uint8_t)(0xff00 >> bits);

		any |= (cidr->addr[i] & ~mask) != 0;
		cidr->addr[i] &= mask;
	}
	return any;
}

int policy_value_cidr(const char *text, struct policy_cidr *cidr, bool *host_bits)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	uint64_t prefix;

	memset(cidr, 0, sizeof(*cidr));
	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (inet_pton(AF_INET, address, cidr->addr) == 1)
		cidr->family = 4;
	else if (inet_pton(AF_INET6, address, cidr->addr) == 1)
		cidr->family = 6;
	else
		return -EINVAL;
	prefix = cidr->family == 4 ? 32 : 128;
	if (slash) {
		uint64_t most = prefix;

		if (policy_value_uint(slash + 1, &prefix))
			return -EINVAL;
		if (prefix > most)
			return -ERANGE;
	}
	cidr->prefix = (uint8_t)prefix;
	*host_bits = clear_host_bits(cidr);
	return 0;
}

static int add_cpus(uint8_t *bitmap, uint64_t first, uint64_t last)
{
	if (last >= POLICY_CPUS_MAX || first > last)
		return -ERANGE;
	for (uint64_t cpu = first; cpu <= last; cpu++) {
		if (bitmap[cpu / 8] & 1u << cpu % 8)
			return -EEXIST;
		bitmap[cpu / 8] |= (uint8_t)(1u << cpu % 8);
	}
	return 0;
}

int policy_value_cpus(const char *text, uint8_t bitmap[POLICY_CPUS_MAX / 8])
{
	memset(bitmap, 0, POLICY_CPUS_MAX / 8);
	for (;;) {
		uint64_t first, last;
		int error = read_digits(text, &first, &text);

		last = first;
		if (!error && *text == '-')
			error = read_digits(text + 1, &last, &text);
		if (!error)
			error = add_cpus(bitmap, first, last);
		if (error)
			return error;
		if (*text == '\0')
			return 0;
		if (*text++ != ',')
			return -EINVAL;
	}
}

const char *policy_format_size(uint64_t bytes, char out[POLICY_FORMAT_MAX])
{
	size_t unit = 0;

	while (bytes && unit + 1 < BASE_COUNT(sizes) && bytes % sizes[unit + 1].times == 0)
		unit++;
	snprintf(out, POLICY_FORMAT_MAX, "%llu%s", (unsigned long long)(bytes / sizes[unit].times),
	         sizes[unit].name);
	return out;
}

/* In bits or in bytes, whichever is shorter. */
const char *policy_format_bandwidth(uint64_t bytes, char out[POLICY_FORMAT_MAX])
{
	static const struct unit bits[] = {
	        {"Gbit", 125000000, 1}, {"Mbit", 125000, 1}, {"kbit", 125, 1}};
	char text[POLICY_FORMAT_MAX];

	policy_format_size(bytes, out);
	for (size_t i = 0; i < BASE_COUNT(bits); i++) {
		if (bytes % bits[i].times)
			continue;
		snprintf(text, sizeof(text), "%llu%s", (unsigned long long)(bytes / bits[i].times),
		         bits[i].name);
		if (strlen(text) < strlen(out) || !strpbrk(out, "KMGT"))
			base_copy_string(out, POLICY_FORMAT_MAX, text);
		break;
	}
	return out;
}

const char *policy_format_cidr(const struct policy_cidr *cidr, char out[POLICY_FORMAT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(cidr->family == 4 ? AF_INET : AF_INET6, cidr->addr, address, sizeof(address));
	snprintf(out, POLICY_FORMAT_MAX, "%s/%u", address, cidr->prefix);
	return out;
}

const char *policy_format_ports(const struct policy_ports *ports, char out[POLICY_FORMAT_MAX])
{
	if (ports->first == ports->last)
		snprintf(out, POLICY_FORMAT_MAX, "%u", ports->first);
	else
		snprintf(out, POLICY_FORMAT_MAX, "%u-%u", ports->first, ports->last);
	return out;
}

bool policy_cidr_valid(const struct policy_cidr *cidr)
{
	struct policy_cidr cut = *cidr;

	return (cidr->family == 4 || cidr->family == 6) &&
	       cidr->prefix <= (cidr->family == 4 ? 32 : 128) && !clear_host_bits(&cut);
}

bool policy_cidr_contains(const struct policy_cidr *outer, const struct policy_cidr *inner)
{
	struct policy_cidr cut = *inner;

	if (outer->family != inner->family || outer->prefix > inner->prefix)
		return false;
	cut.prefix = outer->prefix;
	clear_host_bits(&cut);
	return memcmp(cut.addr, outer->addr, sizeof(cut.addr)) == 0;
}
