/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two walks over the text: the first counts and checks, the second fills arrays of just the right size, so
 * nothing has to grow (the monitor's filter lets no mapping be moved).
 *
 * Networks either nest or have nothing in common. Sorted by their first address, the wider one first, each that
 * lies in the one before it is dropped; so the search looks at one entry alone. Names are found by
 * a hash that is made from their last byte to their first: one walk over a name passes the hashes of all above it.
 */
#include "monitor/intel_list.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/sort.h"
#include "bpf/events.h"

struct intel_network {
	uint8_t family; /* first: sorted by it */
	uint8_t first[16];
	uint8_t bits;
	uint32_t line;
};

struct intel_domain {
	uint64_t hash;
	uint32_t at, line; /* at: of its text */
	uint8_t size;
};

struct intel_list {
	char name[INTEL_NAME_MAX];
	struct intel_network *networks;
	struct intel_domain *domains;
	char *text; /* of all names, in small letters */
	size_t network_count, domain_count, text_size;
};

struct intel_line {
	const char *at;
	size_t size;
};

/* --- sorting --- */

static int intel_compare_networks(const void *a, const void *b)
{
	const struct intel_network *x = a, *y = b;
	int order = memcmp(x, y, offsetof(struct intel_network, bits));

	return order ? order : (int)x->bits - (int)y->bits;
}

static int intel_compare_domains(const void *a, const void *b)
{
	const struct intel_domain *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

/* --- one line --- */

/* The next line without what is around its entry; false at the end. */
static bool intel_next(const char **at, const char *end, struct intel_line *line)
{
	const char *stop, *comment;

	if (*at == end)
		return false;
	stop = memchr(*at, '\n', (size_t)(end - *at));
	stop = stop ? stop : end;
	comment = memchr(*at, '#', (size_t)(stop - *at));
	line->at = *at;
	line->size = (size_t)((comment ? comment : stop) - *at);
	*at = stop < end ? stop + 1 : end;
	for (; line->size && isspace((unsigned char)line->at[0]); line->size--)
		line->at++;
	while (line->size && isspace((unsigned char)line->at[line->size - 1]))
		line->size--;
	return true;
}

static bool intel_is_network(const struct intel_line *line)
{
	bool digits = true;

	for (size_t i = 0; i < line->size; i++) {
		if (line->at[i] == ':' || line->at[i] == '/')
			return true;
		digits = digits && (isdigit((unsigned char)line->at[i]) || line->at[i] == '.');
	}
	return digits;
}

/* Bits after the address are cleared: feeds write 192.0.2.77/24 too. */
static void intel_mask(struct intel_network *network)
{
	for (size_t i = 0; i < sizeof(network->first); i++) {
		const unsigned int keep =
		        network->bits > 8 * i ? network->bits - 8 * (unsigned)i : 0;

		if (keep < 8)
			network->first[i] &= (uint8_t)(0xff00 >> keep);
	}
}

static bool intel_network(const struct intel_line *line, struct intel_network *network)
{
	char text[64], *slash;
	unsigned int bits = 0;

	*network = (struct intel_network){0};
	if (line->size >= sizeof(text) || memchr(line->at, '\0', line->size))
		return false;
	memcpy(text, line->at, line->size);
	text[line->size] = '\0';
	slash = strchr(text, '/');
	if (slash)
		*slash++ = '\0';
	network->family = strchr(text, ':') ? FLOW_IPV6 : FLOW_IPV4;
	network->bits = network->family == FLOW_IPV6 ? 128 : 32;
	if (inet_pton(network->family == FLOW_IPV6 ? AF_INET6 : AF_INET, text, network->first) != 1)
		return false;
	if (!slash)
		return true;
	if (!*slash || strlen(slash) > 3 || slash[strspn(slash, "0123456789")])
		return false;
	for (; *slash; slash++)
		bits = bits * 10 + (unsigned int)(*slash - '0');
	/* all of the Internet is no list of bad addresses */
	if (bits == 0 || bits > network->bits)
		return false;
	network->bits = (uint8_t)bits;
	intel_mask(network);
	return true;
}

/* Takes "*." from its beginning, and '.' from its end; false when what is left is no name. */
static bool intel_domain(struct intel_line *line)
{
	size_t label = 0;
	bool letter = false;

	if (line->size > 2 && line->at[0] == '*' && line->at[1] == '.') {
		line->at += 2;
		line->size -= 2;
	}
	line->size -= line->size && line->at[line->size - 1] == '.';
	if (line->size == 0 || line->size > 253)
		return false;
	for (size_t i = 0; i < line->size; i++) {
		const unsigned char c = (unsigned char)line->at[i];

		if (c == '.' ? label == 0 : !isalnum(c) && c != '-' && c != '_')
			return false;
		label = c == '.' ? 0 : label + 1;
		if (c == '.')
			letter = false;
		letter = letter || isalpha(c);
		if (label > 63)
			return false;
	}
	/* the last label of a name is not all digits (RFC 3696, 2) */
	return label && letter;
}

static uint64_t intel_step(uint64_t hash, char c)
{
	return (hash ^ (uint64_t)tolower((unsigned char)c)) * 0x100000001b3ull;
}

enum { INTEL_BASIS = 1469598103 };

static int intel_fault(const struct intel_line *line, uint32_t number, struct intel_fault *fault)
{
	size_t n = BASE_MIN(line->size, sizeof(fault->excerpt) - 1);

	fault->line = number;
	for (size_t i = 0; i < n; i++)
		fault->excerpt[i] = isprint((unsigned char)line->at[i]) ? line->at[i] : '?';
	fault->excerpt[n] = '\0';
	return -EINVAL;
}

/* --- all lines --- */

static int intel_count(const char *at, const char *end, struct intel_list *list,
                       struct intel_fault *fault)
{
	struct intel_network network;
	struct intel_line line;

	for (uint32_t number = 1; intel_next(&at, end, &line); number++) {
		if (line.size == 0)
			continue;
		if (intel_is_network(&line)) {
			if (!intel_network(&line, &network))
				return intel_fault(&line, number, fault);
			list->network_count++;
		} else {
			const struct intel_line written = line;

			if (!intel_domain(&line))
				return intel_fault(&written, number, fault);
			list->domain_count++;
			list->text_size += line.size;
		}
		if (list->network_count + list->domain_count > INTEL_ENTRIES_MAX) {
			fault->line = number;
			return -EFBIG;
		}
	}
	return 0;
}

static void intel_fill(const char *at, const char *end, struct intel_list *list)
{
	size_t networks = 0, domains = 0, text = 0;
	struct intel_line line;

	for (uint32_t number = 1; intel_next(&at, end, &line); number++) {
		if (line.size == 0)
			continue;
		if (intel_is_network(&line)) {
			intel_network(&line, &list->networks[networks]);
			list->networks[networks++].line = number;
			continue;
		}
		intel_domain(&line);
		struct intel_domain *domain = &list->domains[domains++];

		*domain = (struct intel_domain){.hash = INTEL_BASIS,
		                                .at = (uint32_t)text,
		                                .line = number,
		                                .size = (uint8_t)line.size};
		for (size_t i = 0; i < line.size; i++)
			list->text[text++] = (char)tolower((unsigned char)line.at[i]);
		for (size_t i = line.size; i-- > 0;)
			domain->hash = intel_step(domain->hash, line.at[i]);
	}
}

static bool intel_within(const struct intel_network *network, const uint8_t address[16],
                         uint8_t family)
{
	const unsigned int whole = network->bits / 8, rest = network->bits % 8;

	return network->family == family && memcmp(network->first, address, whole) == 0 &&
	       (!rest || !((network->first[whole] ^ address[whole]) & 0xff00 >> rest & 0xff));
}

static void intel_order(struct intel_list *list)
{
	struct intel_network *last = NULL;
	size_t kept = 0;

	base_sort(list->domains, list->domain_count, sizeof(*list->domains), intel_compare_domains);
	base_sort(list->networks, list->network_count, sizeof(*list->networks),
	          intel_compare_networks);
	for (size_t i = 0; i < list->network_count; i++) {
		const struct intel_network *network = &list->networks[i];

		if (last && intel_within(last, network->first, network->family))
			continue;
		list->networks[kept] = *network;
		last = &list->networks[kept++];
	}
	list->network_count = kept;
}

int intel_list_parse(const char *text, size_t size, const char *path, struct intel_list **out,
                     struct intel_fault *fault)
{
	const char *slash = strrchr(path, '/');
	struct intel_list *list = calloc(1, sizeof(*list));
	int err;

	*out = NULL;
	*fault = (struct intel_fault){0};
	if (!list || size > INTEL_SIZE_MAX) {
		free(list);
		return size > INTEL_SIZE_MAX ? -EFBIG : -ENOMEM;
	}
	base_copy_string(list->name, sizeof(list->name), slash && slash[1] ? slash + 1 : path);
	err = intel_count(text, text + size, list, fault);
	if (!err) {
		list->networks = calloc(list->network_count + 1, sizeof(*list->networks));
		list->domains = calloc(list->domain_count + 1, sizeof(*list->domains));
		list->text = malloc(list->text_size + 1);
		err = list->networks && list->domains && list->text ? 0 : -ENOMEM;
	}
	if (err) {
		intel_list_free(list);
		return err;
	}
	intel_fill(text, text + size, list);
	intel_order(list);
	*out = list;
	return 0;
}

int intel_list_read(int fd, const char *path, struct intel_list **out, struct intel_fault *fault)
{
	BASE_AUTO_FREE char *text = NULL;
	struct stat facts;
	size_t size = 0;
	ssize_t n = 1;

	*out = NULL;
	*fault = (struct intel_fault){0};
	if (fstat(fd, &facts) < 0)
		return -errno;
	if (!S_ISREG(facts.st_mode))
		return -EINVAL;
	if (facts.st_size > INTEL_SIZE_MAX)
		return -EFBIG;
	text = malloc((size_t)facts.st_size + 1);
	if (!text)
		return -ENOMEM;
	/* what is written meanwhile is another list's */
	for (; size < (size_t)facts.st_size && n > 0; size += (size_t)BASE_MAX(n, 0))
		n = pread(fd, text + size, (size_t)facts.st_size - size, (off_t)size);
	return n < 0 ? -errno : intel_list_parse(text, size, path, out, fault);
}

void intel_list_free(struct intel_list *list)
{
	if (!list)
		return;
	free(list->networks);
	free(list->domains);
	free(list->text);
	free(list);
}

size_t intel_list_count(const struct intel_list *list)
{
	return list->network_count + list->domain_count;
}

const char *intel_list_name(const struct intel_list *list)
{
	return list->name;
}

/* --- searching --- */

uint32_t intel_list_address(const struct intel_list *list, const uint8_t address[16],
                            uint8_t family)
{
	struct intel_network wanted = {.family = family, .bits = UINT8_MAX};
	size_t low = 0, high = list->network_count;

	memcpy(wanted.first, address, sizeof(wanted.first));
	/* the first that begins behind the address: only the one before it may hold it */
	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (intel_compare_networks(&list->networks[middle], &wanted) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low && intel_within(&list->networks[low - 1], address, family)
	               ? list->networks[low - 1].line
	               : 0;
}

static bool intel_same(const char *text, const char *name, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] != (char)tolower((unsigned char)name[i]))
			return false;
	return true;
}

static uint32_t intel_domain_find(const struct intel_list *list, uint64_t hash, const char *name,
                                  size_t size)
{
	size_t low = 0, high = list->domain_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (list->domains[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < list->domain_count && list->domains[low].hash == hash; low++)
		if (list->domains[low].size == size &&
		    intel_same(list->text + list->domains[low].at, name, size))
			return list->domains[low].line;
	return 0;
}

uint32_t intel_list_domain(const struct intel_list *list, const char *name, size_t size)
{
	uint64_t hash = INTEL_BASIS;
	uint32_t line;

	size -= size && name[size - 1] == '.';
	for (size_t i = size; i-- > 0 && list->domain_count;) {
		hash = intel_step(hash, name[i]);
		if (i && name[i - 1] != '.')
			continue;
		line = intel_domain_find(list, hash, name + i, size - i);
		if (line)
			return line;
	}
	return 0;
}
