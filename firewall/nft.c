/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one place that talks to libnftables: a context that lives as long as its owner, text in, one
 * transaction out. Output and errors are buffered in the context and never reach our own streams.
 * Changes are made under the lock of lock.c.
 */
#include <jansson.h>
#include <libmnl/libmnl.h>
#include <nftables/libnftables.h>
#include <stdarg.h>

#include "base/base.h"
#include "firewall/rules.h"

struct firewall {
	struct nft_ctx *nft;
	struct mnl_socket
	        *socket; /* of our own batches and questions; the numbers of batches go on: */
	uint32_t sequence;
	int lock;
	char error[256];
};

/* How long a change of rules waits for another: the largest takes a few seconds. */
enum { LOCK_MS = 5000 };

struct firewall *firewall_open(void)
{
	struct firewall *fw = calloc(1, sizeof(*fw));

	if (!fw)
		return NULL;
	fw->lock = -1;
	fw->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!fw->nft || nft_ctx_buffer_output(fw->nft) || nft_ctx_buffer_error(fw->nft)) {
		firewall_close(fw);
		errno = ENOMEM;
		return NULL;
	}
	fw->sequence = 1;
	return fw;
}

void firewall_close(struct firewall *fw)
{
	if (!fw)
		return;
	base_close(&fw->lock);
	firewall_socket_close(fw);
	if (fw->nft)
		nft_ctx_free(fw->nft);
	free(fw);
}

struct mnl_socket *firewall_socket(struct firewall *fw)
{
	return fw->socket || firewall_batch_open(&fw->socket) == 0 ? fw->socket : NULL;
}

void firewall_socket_close(struct firewall *fw)
{
	if (fw->socket)
		mnl_socket_close(fw->socket);
	fw->socket = NULL;
}

const char *firewall_error(const struct firewall *fw)
{
	return fw->error;
}

void firewall_fail(struct firewall *fw, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(fw->error, sizeof(fw->error), format, arguments);
	va_end(arguments);
}

int firewall_lock_within(struct firewall *fw, int ms)
{
	int fd = firewall_lock_take(ms);
	char words[160];

	fw->lock = fd < 0 ? -1 : fd;
	if (fd >= 0)
		return 0;
	firewall_lock_words(fd, words, sizeof(words));
	firewall_fail(fw, "%s", words);
	return fd;
}

int firewall_lock(struct firewall *fw)
{
	return firewall_lock_within(fw, LOCK_MS);
}

void firewall_unlock(struct firewall *fw)
{
	base_close(&fw->lock);
	fw->lock = -1;
}

/* nft's report is a line "Error: what" or "FILE:LINE:COL: Error: what", then the command and a caret. */
static int translate(struct firewall *fw)
{
	static const struct {
		const char *words;
		int error;
	} known[] = {{"No such file or directory", -ENOENT},
	             {"Operation not permitted", -EPERM},
	             {"File exists", -EEXIST},
	             {"Device or resource busy", -EBUSY},
	             {"Operation not supported", -EOPNOTSUPP},
	             {"No such device", -ENODEV},
	             {"Cannot allocate memory", -ENOMEM},
	             {"No buffer space available", -ENOBUFS}};
	const char *report = nft_ctx_get_error_buffer(fw->nft), *start = strstr(report, "Error: ");
	size_t length = 0;

	start = start ? start + strlen("Error: ") : report;
	for (; start[length] && length < sizeof(fw->error) - 1; length++)
		fw->error[length] = start[length] == '\n' ? ' ' : start[length];
	fw->error[length] = '\0';
	for (size_t i = 0; i < BASE_COUNT(known); i++)
		if (strstr(report, known[i].words))
			return known[i].error;
	return -EINVAL;
}

int firewall_lock_fd(const struct firewall *fw)
{
	return fw->lock;
}

/* The short way, and where that does not lead, or words are wanted for why it was refused, libnftables. */
static int run(struct firewall *fw, const char *text, bool words)
{
	struct mnl_socket *socket = firewall_socket(fw);
	int error = socket ? firewall_batch_run(socket, &fw->sequence, text) : -EOPNOTSUPP;

	if (error == -EPROTO) {
		firewall_socket_close(fw);
		firewall_fail(fw, "the kernel's answer was lost");
	}
	if (!error || error == -EPROTO || (error != -EOPNOTSUPP && !words))
		return error;
	return nft_run_cmd_from_buffer(fw->nft, text) == 0 ? 0 : translate(fw);
}

static int run_noted(struct firewall *fw, const char *text, bool words)
{
	uint32_t before = fw->lock < 0 ? 0 : firewall_read_commit(fw);
	int error = run(fw, text, words);

	/* for who watches the tables: see watch.c */
	if (!error && fw->lock >= 0 && firewall_read_commit(fw) == before + 1)
		firewall_ring_add(fw->lock, before + 1);
	return error;
}

int firewall_run(struct firewall *fw, const char *text)
{
	return run_noted(fw, text, true);
}

int firewall_try(struct firewall *fw, const char *text)
{
	return run_noted(fw, text, false);
}

int firewall_forget(struct firewall *fw)
{
	static const char *const tables[] = {"inet", "bridge", "netdev"};
	char command[64];
	int error = firewall_lock(fw);

	for (size_t i = 0; i < BASE_COUNT(tables) && !error; i++) {
		if (strcmp(tables[i], "bridge") == 0 && !firewall_table_there(fw, tables[i]))
			continue; /* a kernel may have no such family */
		/* adding first, so that one that is not there is no error */
		snprintf(command, sizeof(command), "add table %s cordon\ndelete table %s cordon\n",
		         tables[i], tables[i]);
		error = firewall_run(fw, command);
	}
	firewall_unlock(fw);
	return error;
}

int firewall_list(struct firewall *fw, const char *command, struct json_t **array)
{
	json_t *root, *list;
	json_error_t why;
	int failed;

	*array = NULL;
	nft_ctx_output_set_flags(fw->nft, NFT_CTX_OUTPUT_JSON);
	failed = nft_run_cmd_from_buffer(fw->nft, command);
	nft_ctx_output_set_flags(fw->nft, 0);
	if (failed)
		return translate(fw);
	root = json_loads(nft_ctx_get_output_buffer(fw->nft), JSON_REJECT_DUPLICATES, &why);
	list = root ? json_object_get(root, "nftables") : NULL;
	if (!json_is_array(list)) {
		firewall_fail(fw, "nft's answer to `%s` is no list: %s", command,
		              root ? "no array" : why.text);
		json_decref(root);
		return -EPROTO;
	}
	*array = json_incref(list);
	json_decref(root);
	return 0;
}
