/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

/*
 * The rows, with the goals that they have to reach. `all` threads of a cell of
 * the limit are set to the number of cores when it runs (0 here).
 */
/* clang-format off */
const struct row rows[] = {
	{
		.name = "encrypt-1", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, one request at a time",
		.cells = {
			{ "libcrypto, 1 core", limit_gcm,       { .threads = 1 } },
			{ "raw socket echo",   request_raw,     { .threads = 1 } },
			{ "SP echo",           request_echo,    { .threads = 1 } },
			{ "Holdfast",          request_encrypt, { .threads = 1, .what = "bench-aes" } },
			{ "nng REP",           request_nng,     { .threads = 1 } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "gcm" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 1, .what = "gcm" } },
		},
		.goals = {
			{ "Holdfast", "SP echo", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "encrypt-8", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, eight clients",
		.cells = {
			{ "libcrypto, all cores", limit_gcm,    { .threads = 0 } },
			{ "raw socket echo",   request_raw,     { .threads = 8 } },
			{ "SP echo",           request_echo,    { .threads = 8 } },
			{ "Holdfast",          request_encrypt, { .threads = 8, .what = "bench-aes" } },
			{ "nng REP",           request_nng,     { .threads = 8 } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "gcm" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "gcm" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 8, .what = "gcm" } },
		},
		.goals = {
			{ "Holdfast", "SP echo",         METRIC_VALUE, false, 0.75 },
			{ "Holdfast", "raw socket echo", METRIC_VALUE, false, 0.60 },
			{ "Holdfast", "nng REP",         METRIC_VALUE, false, 2.2 },
		},
	},
	{
		.name = "pipelined", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, one client with eight requests in flight",
		.cells = {
			{ "libcrypto, 1 core", limit_gcm,       { .threads = 1 } },
			{ "SP echo",           request_echo,    { .threads = 1, .depth = 8 } },
			{ "Holdfast",          request_encrypt, { .threads = 1, .depth = 8, .what = "bench-aes" } },
			{ "nng REP",           request_nng,     { .threads = 1, .depth = 8 } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "batched", .unit = " items/s",
		.title = "AES-256-GCM, batches of 256 x 1 KiB, one client",
		.cells = {
			{ "libcrypto, 1 core", limit_gcm,       { .threads = 1 } },
			{ "Holdfast",          request_encrypt, { .threads = 1, .items = 256, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "cores", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, four clients with eight in flight; clients and service on one core, and on two",
		.cells = {
			{ "SP echo, 1 core",   request_echo,    { .threads = 4, .depth = 8, .cores = 1 } },
			{ "SP echo, 2 cores",  request_echo,    { .threads = 4, .depth = 8, .cores = 2 } },
			{ "Holdfast, 1 core",  request_encrypt, { .threads = 4, .depth = 8, .cores = 1, .what = "bench-aes" } },
			{ "Holdfast, 2 cores", request_encrypt, { .threads = 4, .depth = 8, .cores = 2, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast, 2 cores", "Holdfast, 1 core", METRIC_VALUE, false, 1.8 },
		},
	},
	{
		.name = "cores-batched", .unit = " items/s",
		.title = "Batches of 256 x 1 KiB, four clients; clients and service on one core, and on two",
		.cells = {
			{ "Holdfast, 1 core",  request_encrypt, { .threads = 4, .items = 256, .cores = 1, .what = "bench-aes" } },
			{ "Holdfast, 2 cores", request_encrypt, { .threads = 4, .items = 256, .cores = 2, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast, 2 cores", "Holdfast, 1 core", METRIC_VALUE, false, 1.8 },
		},
	},
	{
		.name = "p256-1", .unit = "/s",
		.title = "P-256 signatures through PKCS#11, level wrapped, one thread",
		.cells = {
			{ "libcrypto, 1 core", limit_p256,      { .threads = 1 } },
			{ "Holdfast",          module_holdfast, { .threads = 1, .what = "p256" } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "p256" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 1, .what = "p256" } },
		},
		.goals = {
			{ "Holdfast", "p11-kit", METRIC_P50, true, 0.55 },
		},
	},
	{
		.name = "p256-8", .unit = "/s",
		.title = "P-256 signatures through PKCS#11, level wrapped, eight threads of one process",
		.cells = {
			{ "libcrypto, all cores", limit_p256,   { .threads = 0 } },
			{ "Holdfast",          module_holdfast, { .threads = 8, .what = "p256" } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "p256" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "p256" } },
			{ "SoftHSM, x3",       module_softhsm,  { .threads = 3, .what = "p256" } },
			{ "SoftHSM, x8",       module_softhsm,  { .threads = 8, .what = "p256" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 8, .what = "p256" } },
		},
		.goals = {
			{ "Holdfast", "p11-kit",  METRIC_VALUE, false, 6 },
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 1 },
		},
	},
	{
		.name = "rsa", .unit = "/s",
		.title = "RSA-2048 signatures through PKCS#11, level wrapped, eight threads of one process",
		.cells = {
			{ "libcrypto, all cores", limit_rsa,    { .threads = 0 } },
			{ "Holdfast",          module_holdfast, { .threads = 8, .what = "rsa" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "rsa" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 8, .what = "rsa" } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, all cores", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-encrypt", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, level hsm, eight clients",
		.cells = {
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "gcm" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "gcm" } },
			{ "Holdfast",          request_encrypt, { .threads = 8, .what = "bench-hsm-aes" } },
			{ "Holdfast, pipelined", request_encrypt, { .threads = 4, .depth = 8, .what = "bench-hsm-aes" } },
		},
		.goals = {
			{ "Holdfast, pipelined", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-p256", .unit = "/s",
		.title = "P-256 signatures, level hsm, eight clients",
		.cells = {
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "p256" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "p256" } },
			{ "SoftHSM, x3",       module_softhsm,  { .threads = 3, .what = "p256" } },
			{ "Holdfast",          request_sign,    { .threads = 8, .what = "bench-hsm-p256" } },
		},
		.goals = {
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-rsa", .unit = "/s",
		.title = "RSA-2048 signatures, level hsm, eight clients",
		.cells = {
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "rsa" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "rsa" } },
			{ "Holdfast",          request_sign,    { .threads = 8, .what = "bench-hsm-rsa" } },
		},
		.goals = {
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "tls-ecdsa", .unit = "/s",
		.title = "TLS 1.3 handshakes with nginx, ECDSA P-256, four clients",
		.cells = {
			{ "key in a file", tls_handshakes, { .threads = 4, .what = "ecdsa-file" } },
			{ "Holdfast",      tls_handshakes, { .threads = 4, .what = "ecdsa" } },
		},
		.goals = {
			{ "Holdfast", "key in a file", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "tls-rsa", .unit = "/s",
		.title = "TLS 1.3 handshakes with nginx, RSA-2048, four clients",
		.cells = {
			{ "key in a file", tls_handshakes, { .threads = 4, .what = "rsa-file" } },
			{ "Holdfast",      tls_handshakes, { .threads = 4, .what = "rsa" } },
		},
		.goals = {
			{ "Holdfast", "key in a file", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "seal", .unit = " MB/s",
		.title = "Sealing a file, from memory to memory (512 MiB; 4 GiB with --full)",
		.cells = {
			{ "libcrypto, 1 core", limit_stream,  { .threads = 1 } },
			{ "cp",                seal_cp,       { 0 } },
			{ "Holdfast",          seal_holdfast, { 0 } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_VALUE, false, 0.80 },
		},
	},
	{
		.name = "seal-memory", .unit = " KiB",
		.title = "Resident memory of `holdfast seal`, at most",
		.cells = {
			{ "Holdfast", seal_memory, { 0 }, true },
		},
		.goals = {
			{ "Holdfast", NULL, METRIC_VALUE, true, 32768 },
		},
	},
	{
		.name = "keys", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, eight clients, in a service with many keys (100,000; 1,000,000 with --full)",
		.cells = {
			{ "Holdfast, 10 keys",   scale_encrypt, { .what = "few" } },
			{ "Holdfast, many keys", scale_encrypt, { .what = "many" } },
		},
		.goals = {
			{ "Holdfast, many keys", "Holdfast, 10 keys", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "start", .unit = " s of CPU",
		.title = "From the start of the daemon to its first answer",
		.cells = {
			{ "Holdfast, 10 keys",   scale_start, { .what = "few" } },
			{ "Holdfast, many keys", scale_start, { .what = "many" } },
		},
		.goals = {
			{ "Holdfast, many keys", NULL, METRIC_VALUE, true, 2 },
		},
	},
	{
		.name = "key-memory", .unit = " bytes",
		.title = "Memory of a key that nobody uses",
		.cells = {
			{ "Holdfast", scale_key_memory, { 0 }, true },
		},
		.goals = {
			{ "Holdfast", NULL, METRIC_VALUE, true, 64 },
		},
	},
	{
		.name = "connections", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, eight clients, beside 10,000 connections that are idle",
		.cells = {
			{ "Holdfast, alone",  scale_beside, { .threads = 1 } },
			{ "Holdfast, beside", scale_beside, { .threads = 2 } },
		},
		.goals = {
			{ "Holdfast, beside", "Holdfast, alone", METRIC_VALUE, false, 0.95 },
		},
	},
	{
		.name = "connection-memory", .unit = " bytes",
		.title = "Memory of a connection that is idle",
		.cells = {
			{ "Holdfast", scale_connection_memory, { 0 }, true },
		},
		.goals = {
			{ "Holdfast", NULL, METRIC_VALUE, true, 8192 },
		},
	},
	{
		.name = "create", .unit = "/s",
		.title = "Keys made, each on the disk before the answer",
		.cells = {
			{ "Holdfast, 1 client",   scale_create, { .threads = 1 } },
			{ "Holdfast, 64 clients", scale_create, { .threads = 64 } },
		},
		.goals = {
			{ "Holdfast, 64 clients", "Holdfast, 1 client", METRIC_VALUE, false, 20 },
		},
	},
	{
		.name = "idle-wakeups", .unit = "/s",
		.title = "How often the threads of an idle daemon wake up",
		.cells = {
			{ "Holdfast", idle_wakeups, { 0 }, true },
		},
		.goals = {
			{ "Holdfast", NULL, METRIC_VALUE, true, 0 },
		},
	},
	{
		.name = "idle-memory", .unit = " KiB",
		.title = "Memory of an idle daemon with SoftHSM loaded",
		.cells = {
			{ "Holdfast, resident", idle_memory, { .what = "resident" }, true },
			{ "Holdfast, private",  idle_memory, { .what = "private" }, true },
		},
		.goals = {
			{ "Holdfast, resident", NULL, METRIC_VALUE, true, 12288 },
			{ "Holdfast, private",  NULL, METRIC_VALUE, true, 6144 },
		},
	},
	{
		.name = "stages", .unit = " ns",
		.title = "Encrypting 1 KiB inside the daemon, stage by stage, with 1,000 policy rules",
		.cells = {
			{ "decode",                cost_stage, { .what = "decode" } },
			{ "caller and key",        cost_stage, { .what = "key" } },
			{ "policy",                cost_stage, { .what = "policy" } },
			{ "audit: intent",         cost_stage, { .what = "intent" } },
			{ "work",                  cost_stage, { .what = "work" } },
			{ "encode",                cost_stage, { .what = "encode" } },
			{ "audit: outcome",        cost_stage, { .what = "outcome" } },
			{ "release",               cost_stage, { .what = "release" } },
			{ "audit: write(2), once a turn", cost_stage, { .what = "write" } },
			{ "Holdfast, policy and audit", cost_stage, { .what = "policy and audit" } },
			{ "Holdfast, all but the write", cost_stage, { .what = "all" } },
		},
		.goals = {
			{ "Holdfast, policy and audit", NULL, METRIC_VALUE, true, 1500 },
		},
	},
	{
		.name = "allocations", .unit = "",
		.title = "Calls of malloc for one request inside the daemon, once warm, OpenSSL's included",
		.cells = {
			{ "Holdfast, encrypt", cost_allocations, { .what = "encrypt" }, true },
			{ "Holdfast, decrypt", cost_allocations, { .what = "decrypt" }, true },
			{ "Holdfast, hmac",    cost_allocations, { .what = "hmac" }, true },
			{ "Holdfast, sign (P-256)", cost_allocations, { .what = "sign" }, true },
		},
		.goals = {
			{ "Holdfast, encrypt", NULL, METRIC_VALUE, true, 0 },
			{ "Holdfast, decrypt", NULL, METRIC_VALUE, true, 0 },
		},
	},
	{
		.name = "instructions", .unit = "",
		.title = "Instructions of one request inside the daemon, counted by callgrind",
		.cells = {
			{ "Holdfast, encrypt 1 KiB", cost_instructions, { .what = "encrypt" }, true },
			{ "... without libraries",   cost_instructions, { .what = "encrypt", .items = 1 }, true },
			{ "Holdfast, decrypt 1 KiB", cost_instructions, { .what = "decrypt" }, true },
			{ "... without libraries",   cost_instructions, { .what = "decrypt", .items = 1 }, true },
			{ "Holdfast, hmac 1 KiB",    cost_instructions, { .what = "hmac" }, true },
			{ "... without libraries",   cost_instructions, { .what = "hmac", .items = 1 }, true },
			{ "Holdfast, sign (P-256)",  cost_instructions, { .what = "sign" }, true },
			{ "... without libraries",   cost_instructions, { .what = "sign", .items = 1 }, true },
		},
	},
};
/* clang-format on */

const size_t rows_count = sizeof(rows) / sizeof(rows[0]);

size_t
row_cells(const struct row *row)
{
	size_t n = 0;

	while (n < CELLS_MAX && row->cells[n].who != NULL)
		n++;
	return n;
}

size_t
row_goals(const struct row *row)
{
	size_t n = 0;

	while (n < GOALS_MAX && row->goals[n].who != NULL)
		n++;
	return n;
}
