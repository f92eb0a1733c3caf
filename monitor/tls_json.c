/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What TLS said of a flow, as fields of ECS (tls.*), and below cordon.tls where ECS has none.
 */
#include "monitor/tls_flows.h"

#include "base/base.h"

static const char *tls_version(uint16_t version)
{
	static const char *const versions[] = {"1.0", "1.1", "1.2", "1.3"};

	return version >= 0x0301 && version < 0x0301 + BASE_COUNT(versions)
	               ? versions[version - 0x0301]
	               : NULL;
}

static void tls_put(json_t *object, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(object, name, json_string(text));
}

void tls_flow_json(const struct tls_flow *flow, json_t *event)
{
	json_t *tls = json_object(), *client = json_object(), *own = json_object();
	json_t *cordon = json_object_get(event, "cordon");

	tls_put(client, "server_name", flow->name);
	json_object_set_new(tls, "client", client);
	tls_put(tls, "next_protocol", flow->alpn);
	tls_put(tls, "version", tls_version(flow->version));
	if (tls_version(flow->version))
		tls_put(tls, "version_protocol", "tls");
	tls_put(own, "ja4", flow->ja4);
	if (flow->certificate[0]) {
		json_object_set_new(
		        tls, "server",
		        json_pack("{s:{s:[s]}}", "x509", "alternative_names", flow->certificate));
		json_object_set_new(own, "certificate_mismatch", json_boolean(flow->mismatch));
	}
	json_object_set_new(event, "tls", tls);
	if (cordon)
		json_object_set_new(cordon, "tls", own);
	else
		json_decref(own);
}
