/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of JSON (or CEF) by POST to a collector, through libcurl. An answer of 2xx is what says that a batch is
 * there. When a connection breaks between the request and its answer, nobody knows; the same batch is then sent
 * again with the same Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), for collectors that
 * look at it, and each alert has its event.id and stage for those that do not.
 *
 * A batch that the collector calls wrong (400, 413, 422) is halved until the one that it does not like stands
 * alone; that one is said in the log, and not sent again. All files are read before the role is entered, and a
 * name is never looked up: the policy has the address.
 *
 * #syscall courier: fcntl - libcurl's connections do not block
 * #syscall courier: getpeername - libcurl notes whom it has reached
 * #syscall courier: getsockname - and from where
 * #syscall courier: rt_sigaction - libcurl ignores SIGPIPE
 * #syscall courier: eventfd2 - libcurl's multi interface wakes itself up
 * #syscall courier: pipe2 - the same
 * #syscall courier: socketpair - the same
 * #syscall courier: mremap - libcurl's buffers grow
 * #syscall courier: madvise - malloc gives memory back
 */
#include <curl/curl.h>
#include <sys/stat.h>

#include "base/base.h"
#include "monitor/courier.h"

enum { HTTP_BATCH = 256, HTTP_BODY_MAX = 1048576, HTTP_TIMEOUT_S = 30, HTTP_CONNECT_S = 10 };

struct http {
	CURL *curl;
	struct curl_slist *headers, *resolve;
	char *ca, *certificate, *key, *token;
	char url[POLICY_PATH_MAX + POLICY_DNS_NAME_MAX];
	size_t batch; /* how many at most; fewer while one of them is refused */
	size_t again; /* the batch whose answer did not come; 0: none */
	uint64_t inbox_id;
	char *body;
	char problem[CURL_ERROR_SIZE], last[CURL_ERROR_SIZE];
};

static size_t http_ignore(char *data, size_t size, size_t count, void *unused)
{
	(void)data;
	(void)unused;
	return size * count;
}

/* A file as a blob for libcurl, which copies it. */
static int http_blob(struct http *http, CURLoption option, const char *path, char **text,
                     char why[COURIER_WHY_MAX])
{
	struct curl_blob blob = {.flags = CURL_BLOB_COPY};
	int err = courier_read_file(path, text, &blob.len);

	if (err) {
		snprintf(why, COURIER_WHY_MAX, "cannot read %s: %s", path, strerror(-err));
		return err;
	}
	blob.data = *text;
	return curl_easy_setopt(http->curl, option, &blob) == CURLE_OK ? 0 : -EINVAL;
}

static int http_tls(struct http *http, const struct policy_sink *sink, char why[COURIER_WHY_MAX])
{
	int err = http_blob(http, CURLOPT_CAINFO_BLOB, sink->ca, &http->ca, why);

	/* nor the host's own authorities, which libcurl would look for where the policy's has not signed */
	curl_easy_setopt(http->curl, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(http->curl, CURLOPT_CAPATH, NULL);
	if (!err && sink->certificate[0])
		err = http_blob(http, CURLOPT_SSLCERT_BLOB, sink->certificate, &http->certificate,
		                why);
	if (!err && sink->key[0])
		err = http_blob(http, CURLOPT_SSLKEY_BLOB, sink->key, &http->key, why);
	curl_easy_setopt(http->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	return err;
}

/* One line of printable text: it becomes a header. */
static int http_token(struct http *http, const char *path, char why[COURIER_WHY_MAX])
{
	char header[8192 + 32];
	size_t size;
	int err = courier_read_file(path, &http->token, &size);

	if (err) {
		snprintf(why, COURIER_WHY_MAX, "cannot read %s: %s", path, strerror(-err));
		return err;
	}
	while (size > 0 && strchr("\r\n", http->token[size - 1]))
		http->token[--size] = '\0';
	for (size_t i = 0; i < size; i++)
		if (http->token[i] < ' ' || http->token[i] > '~')
			err = -EINVAL;
	if (err || size == 0 || size > 8192) {
		snprintf(why, COURIER_WHY_MAX,
		         "%s is no token (expected one line, such as: Bearer abc)", path);
		return -EINVAL;
	}
	snprintf(header, sizeof(header), "Authorization: %s", http->token);
	http->headers = curl_slist_append(http->headers, header);
	return 0;
}

/* With a name, the URL has the name, and libcurl is told its address. */
static void http_url(struct http *http, const struct policy_sink *sink)
{
	const char *scheme = sink->type == POLICY_SINK_HTTPS ? "https" : "http";
	const char *colon = sink->target + strcspn(sink->target, "/");
	char resolve[POLICY_PATH_MAX];

	if (!sink->peer[0]) {
		snprintf(http->url, sizeof(http->url), "%s://%s", scheme, sink->target);
		return;
	}
	while (colon > sink->target && *colon != ':')
		colon--;
	snprintf(http->url, sizeof(http->url), "%s://%s%s", scheme, sink->peer, colon);
	snprintf(resolve, sizeof(resolve), "%s:%u:%.*s", sink->peer,
	         (unsigned int)strtoul(colon + 1, NULL, 10), (int)(colon - sink->target),
	         sink->target);
	http->resolve = curl_slist_append(NULL, resolve);
	curl_easy_setopt(http->curl, CURLOPT_RESOLVE, http->resolve);
}

static void http_options(struct http *http)
{
	CURL *curl = http->curl;

	curl_easy_setopt(curl, CURLOPT_URL, http->url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_ignore);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->problem);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)HTTP_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_S);
}

static int http_prepare(struct courier *courier, char why[COURIER_WHY_MAX])
{
	const struct policy_sink *sink = &courier->sink;
	struct http *http = calloc(1, sizeof(*http));
	struct stat inbox;
	int err = 0;

	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	courier->state = http;
	http->curl = curl_easy_init();
	http->body = malloc(HTTP_BODY_MAX);
	http->batch = HTTP_BATCH;
	if (!http->curl || !http->body || fstat(COURIER_FD_INBOX, &inbox) < 0)
		return -ENOMEM;
	http->inbox_id = inbox.st_ino;
	http->headers = curl_slist_append(NULL, "Content-Type: application/x-ndjson");
	http->headers = curl_slist_append(http->headers, "Expect:");
	http_url(http, sink);
	http_options(http);
	if (sink->type == POLICY_SINK_HTTPS)
		err = http_tls(http, sink, why);
	if (!err && sink->token[0])
		err = http_token(http, sink->token, why);
	return err;
}

/* The next batch, as lines; how many alerts are in it. */
static size_t http_gather(struct courier *courier, size_t *size)
{
	struct http *http = courier->state;
	size_t most = http->again ? http->again : http->batch, count = 0;

	*size = 0;
	while (count < most && count < spool_count(courier->spool)) {
		ssize_t n = spool_read(courier->spool, count, courier->text);

		if (n < 0 || *size + (size_t)n + 1 > HTTP_BODY_MAX)
			break;
		memcpy(http->body + *size, courier->text, (size_t)n);
		*size += (size_t)n;
		http->body[(*size)++] = '\n';
		count++;
	}
	return count;
}

static CURLcode http_post(struct courier *courier, size_t count, size_t size, long *status)
{
	struct http *http = courier->state;
	const struct spool *spool = courier->spool;
	struct curl_slist *last = http->headers;
	struct curl_slist key = {0};
	char text[128];
	CURLcode code;

	/* what it says is unique to these alerts: dropping changes which ones they are */
	snprintf(text, sizeof(text), "Idempotency-Key: \"%llx-%llu-%llu-%zu\"",
	         (unsigned long long)http->inbox_id, (unsigned long long)spool_delivered(spool),
	         (unsigned long long)spool_dropped(spool), count);
	key.data = text;
	while (last->next)
		last = last->next;
	last->next = &key;
	curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, http->body);
	curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
	http->problem[0] = '\0';
	code = curl_easy_perform(http->curl);
	last->next = NULL;
	curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, status);
	return code;
}

static int http_failed(struct courier *courier, const char *problem)
{
	struct http *http = courier->state;
	bool said = strcmp(problem, http->last) == 0;

	base_copy_string(http->last, sizeof(http->last), problem);
	if (!said)
		fprintf(stderr, "courier: %s: %s\n", courier->sink.target, http->last);
	return -EIO;
}

/* The collector does not like what it got. */
static int http_refused(struct courier *courier, size_t count, long status)
{
	struct http *http = courier->state;

	http->again = 0;
	if (count > 1) {
		http->batch = count / 2;
		return 0;
	}
	fprintf(stderr, "courier: %s refuses an alert (HTTP %ld); it is not sent again\n",
	        courier->sink.target, status);
	http->batch = HTTP_BATCH;
	return spool_done(courier->spool, 1);
}

static int http_deliver(struct courier *courier)
{
	struct http *http = courier->state;
	size_t size, count = http_gather(courier, &size);
	char problem[64];
	long status = 0;
	CURLcode code;

	if (count == 0)
		return 0;
	code = http_post(courier, count, size, &status);
	if (code != CURLE_OK) {
		http->again = count;
		return http_failed(courier,
		                   http->problem[0] ? http->problem : curl_easy_strerror(code));
	}
	if (status == 400 || status == 413 || status == 422)
		return http_refused(courier, count, status);
	if (status < 200 || status > 299) {
		snprintf(problem, sizeof(problem), "HTTP status %ld", status);
		http->again = count;
		return http_failed(courier, problem);
	}
	http->again = 0;
	http->batch = HTTP_BATCH;
	http->last[0] = '\0';
	return spool_done(courier->spool, count);
}

/* libcurl makes a new connection by itself. */
static void http_close(struct courier *courier)
{
	(void)courier;
}

const struct carrier courier_http = {
        .prepare = http_prepare,
        .deliver = http_deliver,
        .close = http_close,
};
