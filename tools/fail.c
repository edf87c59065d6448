/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>

#include "../lib/bytes.h"
#include "clean.h"

/* What a person can do about it; an error without a row needs no words. */
static const struct {
	enum hf_err err;
	const char *advice;
} advices[] = {
	{ HF_ERR_UNREACHABLE,
	    "is holdfast-keyd running? --socket or HOLDFAST_SOCKET name "
	    "another socket" },
	{ HF_ERR_UNTRUSTED,
	    "--tls-ca and --tls-server-name say whose certificate is "
	    "expected" },
	{ HF_ERR_CLIENT_REFUSED,
	    "--tls-certificate and --tls-key are to be from the authorities "
	    "that the service's listener names" },
	{ HF_ERR_TIMEOUT, "--timeout SECONDS gives it more time" },
	{ HF_ERR_DISCONNECTED, "look what was done before you repeat it" },
	{ HF_ERR_PERMISSION_DENIED,
	    "'holdfast policy test', run by somebody who may, tells which rule "
	    "is missing; the audit log, whom the service takes you for" },
	{ HF_ERR_TOO_LARGE, "'holdfast seal' takes files of any size" },
	{ HF_ERR_TRUNCATED, "get the file again from where it was whole" },
	{ HF_ERR_KEY_NOT_FOUND, "'holdfast key list' shows the keys" },
	{ HF_ERR_ENC_KEY_NOT_FOUND, "'holdfast key list' shows the keys" },
	{ HF_ERR_SIGN_KEY_NOT_FOUND, "'holdfast key list' shows the keys" },
	{ HF_ERR_DELETE_REFUSED,
	    "'holdfast key config NAME --deletion-allowed=yes' allows it" },
	{ HF_ERR_CONTEXT_REQUIRED,
	    "--context NAME=VALUE gives one; 'holdfast key show NAME' tells "
	    "which names it must have" },
	{ HF_ERR_MISSING_CONTEXT, "--derivation-context TEXT gives it" },
	{ HF_ERR_VERSION_STATE,
	    "'holdfast key show NAME' tells its state; 'key enable' enables "
	    "one that is disabled" },
	{ HF_ERR_VERSION_TOO_OLD,
	    "'holdfast key show NAME' tells the minimum versions, which 'key "
	    "config' sets" },
	{ HF_ERR_VERSION_IN_USE,
	    "--force does it all the same; 'holdfast key retire-report NAME' "
	    "tells what would break" },
	{ HF_ERR_SHARES, "--drop-shares goes on without them" },
	{ HF_ERR_KEY_DELETED, "'holdfast key undelete NAME' brings it back" },
	{ HF_ERR_AUDIT,
	    "the service's own log tells why ('journalctl -u holdfast-keyd')" },
	{ HF_ERR_HSM_UNAVAILABLE, "'holdfast hsm status' tells more" },
	{ HF_ERR_HSM_PIN, "'holdfast hsm status' tells more" },
	{ HF_ERR_AUTH_FAILED,
	    "another key, other associated data or context, or changed data" },
	{ HF_ERR_UNKNOWN_OP, "the service may be older than this program" },
	{ HF_ERR_UNKNOWN_FIELD, "the service may be older than this program" },
};

/* Errors that this side found, because no answer came. */
static bool
is_silence(enum hf_err err)
{
	return err == HF_ERR_UNREACHABLE || err == HF_ERR_DISCONNECTED ||
	    err == HF_ERR_TIMEOUT || err == HF_ERR_BAD_REPLY ||
	    err == HF_ERR_UNTRUSTED;
}

static bool
is_ours(enum hf_err err)
{
	return err == HF_ERR_BAD_SETTINGS || err == HF_ERR_NO_MEMORY ||
	    err == HF_ERR_SYSTEM;
}

int
fail_service(enum hf_err err, const struct hf_why *why)
{
	const char *message = why != NULL && why->text[0] != '\0'
	    ? why->text
	    : hf_err_sentence(err);

	(void)fputs("holdfast: ", stderr);
	clean_print(stderr, text_of(message), false);
	(void)fprintf(stderr, " (%s)\n", hf_err_name(err));
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (advices[i].err == err)
			(void)fprintf(
			    stderr, "holdfast: %s\n", advices[i].advice);
	return is_silence(err) ? STATUS_UNREACHABLE
	    : is_ours(err)     ? STATUS_USAGE
			       : STATUS_REFUSED;
}

int
fail_usage(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("holdfast: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return STATUS_USAGE;
}

int
tool_connect(const struct tool *tool, struct hf_client **out)
{
	struct hf_why why = { "" };
	enum hf_err err =
	    hf_connect(tool->address, tool->timeout_ms, out, &why);

	return err == HF_OK ? STATUS_OK : fail_service(err, &why);
}
