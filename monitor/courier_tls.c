/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS to a syslog receiver (RFC 5425), by OpenSSL: TLS 1.2 or later, the receiver's certificate signed by who
 * the policy says and for the name (or address) that it says, our own certificate where there is one. All files
 * are read before the role is entered; afterwards OpenSSL has memory, one socket and random numbers.
 *
 * #syscall courier: write - OpenSSL's way to its socket; lines of files and standard output
 * #syscall courier: getrandom - keys
 * #syscall courier: getpid - OpenSSL looks whether it was forked
 * #syscall courier: futex - its locks
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/base.h"
#include "monitor/courier.h"

struct courier_tls {
	SSL_CTX *context;
	SSL *connection;
	char address[64];
	char peer[POLICY_DNS_NAME_MAX];
};

static int tls_why(char why[COURIER_WHY_MAX], const char *what, const char *name)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(why, COURIER_WHY_MAX, "%s %.200s: %.200s", what, name,
	         reason ? reason : "not accepted");
	ERR_clear_error();
	return -EPROTO;
}

static int tls_files(SSL_CTX *context, const struct policy_sink *sink, char why[COURIER_WHY_MAX])
{
	ERR_clear_error();
	if (SSL_CTX_load_verify_locations(context, sink->ca, NULL) != 1)
		return tls_why(why, "cannot use the CA", sink->ca);
	if (!sink->certificate[0])
		return 0;
	if (SSL_CTX_use_certificate_chain_file(context, sink->certificate) != 1)
		return tls_why(why, "cannot use the certificate", sink->certificate);
	if (SSL_CTX_use_PrivateKey_file(context, sink->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(context) != 1)
		return tls_why(why, "cannot use the key", sink->key);
	return 0;
}

int courier_tls_prepare(const struct policy_sink *sink, struct courier_tls **out,
                        char why[COURIER_WHY_MAX])
{
	struct courier_tls *tls = calloc(1, sizeof(*tls));
	const char *colon = strrchr(sink->target, ':');
	bool bracket = sink->target[0] == '[';
	int err;

	if (!tls || !colon)
		return -ENOMEM;
	*out = tls;
	snprintf(tls->address, sizeof(tls->address), "%.*s",
	         (int)(colon - sink->target) - 2 * bracket, sink->target + bracket);
	base_copy_string(tls->peer, sizeof(tls->peer), sink->peer);
	tls->context = SSL_CTX_new(TLS_client_method());
	if (!tls->context)
		return -ENOMEM;
	err = tls_files(tls->context, sink, why);
	if (err)
		return err;
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
	/* else SSL_read() would wait for data behind a ticket, and none ever comes */
	SSL_CTX_clear_mode(tls->context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
	return 0;
}

static int tls_name(struct courier_tls *tls)
{
	X509_VERIFY_PARAM *verify = SSL_get0_param(tls->connection);

	if (!tls->peer[0])
		return X509_VERIFY_PARAM_set1_ip_asc(verify, tls->address);
	X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(tls->connection, tls->peer) == 1 &&
	       SSL_set_tlsext_host_name(tls->connection, tls->peer) == 1;
}

int courier_tls_connect(struct courier_tls *tls, int fd, char why[COURIER_WHY_MAX])
{
	long verdict;

	ERR_clear_error();
	tls->connection = SSL_new(tls->context);
	if (!tls->connection || SSL_set_fd(tls->connection, fd) != 1 || tls_name(tls) != 1) {
		courier_tls_disconnect(tls);
		return -ENOMEM;
	}
	if (SSL_connect(tls->connection) == 1)
		return 0;
	verdict = SSL_get_verify_result(tls->connection);
	if (verdict != X509_V_OK)
		snprintf(why, COURIER_WHY_MAX, "the receiver's certificate is not accepted: %s",
		         X509_verify_cert_error_string(verdict));
	else
		tls_why(why, "no TLS with", tls->address);
	ERR_clear_error();
	SSL_free(tls->connection);
	tls->connection = NULL;
	return -EPROTO;
}

int courier_tls_write(struct courier_tls *tls, const char *data, size_t size)
{
	int n;

	ERR_clear_error();
	n = SSL_write(tls->connection, data, (int)size);
	return n == (int)size ? 0 : -ECONNRESET;
}

int courier_tls_drain(struct courier_tls *tls)
{
	char ignored[4096];
	int n;

	ERR_clear_error();
	n = SSL_read(tls->connection, ignored, sizeof(ignored));
	return n > 0 || SSL_get_error(tls->connection, n) == SSL_ERROR_WANT_READ ? 0 : -ECONNRESET;
}

uint64_t courier_tls_written(const struct courier_tls *tls)
{
	return tls->connection ? BIO_number_written(SSL_get_wbio(tls->connection)) : 0;
}

void courier_tls_disconnect(struct courier_tls *tls)
{
	/* no close_notify: what it was not told, it was not */
	SSL_free(tls->connection);
	tls->connection = NULL;
}
