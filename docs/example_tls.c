/* SPDX-License-Identifier: Apache-2.0 */
/* cc example_tls.c $(pkg-config --cflags --libs holdfast) -o example_tls */
#include <holdfast/holdfast.h>

#include <stdio.h>

/* Asks a service on another host who we are: example_tls HOST PORT NAME */
int
main(int argc, char **argv)
{
	/* PEM files. They are read when the handle connects. */
	const struct hf_tls tls = {
		.ca = "ca.pem",
		.certificate = "web1.pem",
		.key = "web1.key",
		.server_name = argc > 3 ? argv[3] : NULL, /* NULL: HOST */
	};
	struct hf_empty in = { 0 };
	struct hf_whoami_out me;
	struct hf_client *client = NULL;
	struct hf_why why;
	char address[300];
	enum hf_err err;

	if (argc < 3)
		return 1;
	(void)snprintf(
	    address, sizeof(address), "tls+tcp://%s:%s", argv[1], argv[2]);
	/* Connects with the first request; 5 seconds for each. */
	err = hf_prepare(address, 5000, &client, &why);
	if (err == HF_OK)
		err = hf_set_tls(client, &tls, &why);
	if (err == HF_OK)
		err = hf_sys_whoami(client, &in, &me, &why);
	if (err == HF_OK)
		(void)printf(
		    "%.*s\n", (int)me.certificate.len, me.certificate.ptr);
	else /* HF_ERR_UNTRUSTED, HF_ERR_CLIENT_REFUSED, ... */
		(void)fprintf(stderr, "%s: %s\n", hf_err_name(err), why.text);
	hf_close(client);
	return err == HF_OK ? 0 : 1;
}
