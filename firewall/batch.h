/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A transaction of nftables in netlink's form, as it grows. Private to the room: see batch.c and compile.c. */
#ifndef CORDON_FIREWALL_BATCH_H
#define CORDON_FIREWALL_BATCH_H

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#include "base/base.h"

enum {
	BATCH_SIZE = 256 << 10,   /* of a whole transaction; a larger one is libnftables' */
	BATCH_MESSAGE = 16 << 10, /* room that one message may take */
};

struct batch {
	char *bytes; /* owned; BATCH_SIZE */
	size_t used;
	uint32_t sequence; /* of the next message */
	struct nlmsghdr *message;
	struct nlattr *expressions; /* of the rule in the making */
};

/* One message; attributes are put into the one that was begun last. */
void batch_begin(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family);
void batch_end(struct batch *batch);
/* One expression of a rule, with its attributes between the two. */
struct nlattr *batch_expression(struct batch *batch, const char *kind, struct nlattr **data);
void batch_expression_end(struct batch *batch, struct nlattr *element, struct nlattr *data);
/* A number in network order. */
void batch_u32(struct batch *batch, uint16_t type, uint32_t value);
/* "data", nested as nftables has it. */
void batch_value(struct batch *batch, uint16_t type, const void *value, size_t size);
void batch_verdict(struct batch *batch, uint16_t type, int32_t code, const char *chain);

enum { WORDS_MAX = 1024, COMMENT_MAX = 128 };

struct batch_words {
	char *list[WORDS_MAX];
	size_t count, at;
};

/* One line on its way into the batch. */
struct batch_line {
	struct batch *batch;
	struct batch_words words;
	uint8_t family;   /* NFPROTO_* */
	uint8_t network;  /* 4 or 6, once a match has made sure of it */
	uint8_t protocol; /* the same of the transport; 0: not yet */
	char comment[COMMENT_MAX];
};

/* words.c: cuts the line at spaces and commas; what is between quotes is one word, with its first quote left. */
bool batch_split(struct batch_words *words, char *line);
/* The next word, or ""; the next word if it is this one; whether there is none left. */
const char *batch_next(struct batch_line *line);
bool batch_take(struct batch_line *line, const char *word);
bool batch_done(const struct batch_line *line);
/* A whole word as a number of at most `max`. */
bool batch_number(const char *word, int base, unsigned long max, unsigned long *value);

/* statements.c: false when the next word begins none of its own; else *known says whether it is one as libnftables has it. */
bool batch_statement(struct batch_line *line, bool *known);
/* What is behind "ct count". */
bool batch_connections(struct batch_line *line);
/* compile.c: loads what the packet has of that kind. */
void batch_meta(struct batch_line *line, uint32_t key);
/* compile.c: the rest of "add rule FAMILY cordon CHAIN …". 0 or -EOPNOTSUPP. */
int batch_rule(struct batch_line *line, const char *chain);
/* objects.c: puts the words of one line of text into the batch. 0; -EOPNOTSUPP for what only libnftables knows. */
int batch_compile(struct batch *batch, char *line);

#endif
