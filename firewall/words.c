/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line of nft's text, cut into words. */
#include "firewall/batch.h"

bool batch_split(struct batch_words *words, char *line)
{
	while (*line) {
		line += strspn(line, " ");
		if (!*line)
			break;
		if (words->count == WORDS_MAX)
			return false;
		words->list[words->count++] = line;
		if (*line == '"')
			line += 1 + strcspn(line + 1, "\"");
		else
			line += strcspn(line, " ,");
		/* a comma means as little as a space */
		for (bool quote = *line == '"'; *line && (quote || *line == ',' || *line == ' ');
		     quote = false)
			*line++ = '\0';
	}
	return true;
}

const char *batch_next(struct batch_line *c)
{
	return c->words.at < c->words.count ? c->words.list[c->words.at++] : "";
}

bool batch_take(struct batch_line *c, const char *word)
{
	bool same = c->words.at < c->words.count && strcmp(c->words.list[c->words.at], word) == 0;

	c->words.at += same;
	return same;
}

bool batch_done(const struct batch_line *c)
{
	return c->words.at == c->words.count;
}

bool batch_number(const char *word, int base, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(word, &end, base);
	return *word >= '0' && *word <= '9' && !*end && !errno && *value <= max;
}
