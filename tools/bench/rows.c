/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

/*
 * The rows, with the goals that they have to reach. A cell of 0 threads gets
 * as many as there are cores.
 */
/* clang-format off */
const struct row rows[] = {
	{
		.name = "encrypt-1", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, one request at a time",
		.cells = {
			{ .who = "libcrypto, 1 core", .run = limit_gcm,       .work = { .threads = 1 } },
			{ .who = "raw socket echo",   .run = request_raw,     .work = { .threads = 1 } },
			{ .who = "SP echo",           .run = request_echo,    .work = { .threads = 1 } },
			{ .who = "Holdfast",          .run = request_encrypt, .work = { .threads = 1, .what = "bench-aes" } },
			{ .who = "nng REP",           .run = request_nng,     .work = { .threads = 1 } },
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "gcm" } },
			{ .who = "p11-kit",           .run = module_p11_kit,  .work = { .threads = 1, .what = "gcm" } },
		},
		.goals = {
			{ "Holdfast", "SP echo", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "encrypt-8", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, eight clients",
		.cells = {
			{ .who = "libcrypto, all cores", .run = limit_gcm,    .work = { .threads = 0 } },
			{ .who = "raw socket echo",   .run = request_raw,     .work = { .threads = 8 } },
			{ .who = "SP echo",           .run = request_echo,    .work = { .threads = 8 } },
			{ .who = "Holdfast",          .run = request_encrypt, .work = { .threads = 8, .what = "bench-aes" } },
			{ .who = "nng REP",           .run = request_nng,     .work = { .threads = 8 } },
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "gcm" } },
			{ .who = "SoftHSM, x2",       .run = module_softhsm,  .work = { .threads = 2, .what = "gcm" } },
			{ .who = "p11-kit",           .run = module_p11_kit,  .work = { .threads = 8, .what = "gcm" } },
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
			{ .who = "libcrypto, 1 core", .run = limit_gcm,       .work = { .threads = 1 } },
			{ .who = "SP echo",           .run = request_echo,    .work = { .threads = 1, .depth = 8 } },
			{ .who = "Holdfast",          .run = request_encrypt, .work = { .threads = 1, .depth = 8, .what = "bench-aes" } },
			{ .who = "nng REP",           .run = request_nng,     .work = { .threads = 1, .depth = 8 } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "batched", .unit = " items/s",
		.title = "AES-256-GCM, batches of 256 x 1 KiB, one client",
		.cells = {
			{ .who = "libcrypto, 1 core", .run = limit_gcm,       .work = { .threads = 1 } },
			{ .who = "Holdfast",          .run = request_encrypt, .work = { .threads = 1, .items = 256, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "cores", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, four clients with eight in flight; clients and service on one core, and on two",
		.cells = {
			{ .who = "libcrypto, 1 core",  .run = limit_gcm,      .work = { .threads = 1 } },
			{ .who = "libcrypto, 2 cores", .run = limit_gcm,      .work = { .threads = 2 } },
			{ .who = "SP echo, 1 core",   .run = request_echo,    .work = { .threads = 4, .depth = 8, .cores = 1 } },
			{ .who = "SP echo, 2 cores",  .run = request_echo,    .work = { .threads = 4, .depth = 8, .cores = 2 } },
			{ .who = "Holdfast, 1 core",  .run = request_encrypt, .work = { .threads = 4, .depth = 8, .cores = 1, .what = "bench-aes" } },
			{ .who = "Holdfast, 2 cores", .run = request_encrypt, .work = { .threads = 4, .depth = 8, .cores = 2, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast, 2 cores", "Holdfast, 1 core", METRIC_VALUE, false, 1.8 },
		},
	},
	{
		.name = "cores-batched", .unit = " items/s",
		.title = "Batches of 256 x 1 KiB, four clients; clients and service on one core, and on two",
		.cells = {
			{ .who = "libcrypto, 1 core",  .run = limit_gcm,      .work = { .threads = 1 } },
			{ .who = "libcrypto, 2 cores", .run = limit_gcm,      .work = { .threads = 2 } },
			{ .who = "Holdfast, 1 core",  .run = request_encrypt, .work = { .threads = 4, .items = 256, .cores = 1, .what = "bench-aes" } },
			{ .who = "Holdfast, 2 cores", .run = request_encrypt, .work = { .threads = 4, .items = 256, .cores = 2, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast, 2 cores", "Holdfast, 1 core", METRIC_VALUE, false, 1.8 },
		},
	},
	{
		.name = "p256-1", .unit = "/s",
		.title = "P-256 signatures through PKCS#11, level wrapped, one thread",
		.cells = {
			{ .who = "libcrypto, 1 core", .run = limit_p256,      .work = { .threads = 1 } },
			{ .who = "Holdfast",          .run = module_holdfast, .work = { .threads = 1, .what = "p256" } },
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "p256" } },
			{ .who = "p11-kit",           .run = module_p11_kit,  .work = { .threads = 1, .what = "p256" } },
		},
		.goals = {
			{ "Holdfast", "p11-kit", METRIC_P50, true, 0.55 },
		},
	},
	{
		.name = "p256-8", .unit = "/s",
		.title = "P-256 signatures through PKCS#11, level wrapped, eight threads of one process",
		.cells = {
			{ .who = "libcrypto, all cores", .run = limit_p256,   .work = { .threads = 0 } },
			{ .who = "Holdfast",          .run = module_holdfast, .work = { .threads = 8, .what = "p256" } },
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "p256" } },
			{ .who = "SoftHSM, x2",       .run = module_softhsm,  .work = { .threads = 2, .what = "p256" } },
			{ .who = "SoftHSM, x3",       .run = module_softhsm,  .work = { .threads = 3, .what = "p256" } },
			{ .who = "SoftHSM, x8",       .run = module_softhsm,  .work = { .threads = 8, .what = "p256" } },
			{ .who = "p11-kit",           .run = module_p11_kit,  .work = { .threads = 8, .what = "p256" } },
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
			{ .who = "libcrypto, all cores", .run = limit_rsa,    .work = { .threads = 0 } },
			{ .who = "Holdfast",          .run = module_holdfast, .work = { .threads = 8, .what = "rsa" } },
			{ .who = "SoftHSM, x2",       .run = module_softhsm,  .work = { .threads = 2, .what = "rsa" } },
			{ .who = "p11-kit",           .run = module_p11_kit,  .work = { .threads = 8, .what = "rsa" } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, all cores", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-encrypt", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, level hsm, eight clients",
		.cells = {
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "gcm" } },
			{ .who = "SoftHSM, x2",       .run = module_softhsm,  .work = { .threads = 2, .what = "gcm" } },
			{ .who = "Holdfast",          .run = request_encrypt, .work = { .threads = 8, .what = "bench-hsm-aes" } },
			{ .who = "Holdfast, pipelined", .run = request_encrypt, .work = { .threads = 4, .depth = 8, .what = "bench-hsm-aes" } },
			{ .who = "Holdfast, pipelined, inside", .run = request_encrypt_inside, .work = { .threads = 4, .depth = 8, .what = "bench-hsm-aes" } },
		},
		.goals = {
			{ "Holdfast, pipelined", "SoftHSM,", METRIC_VALUE, false, 0.90 },
			{ "Holdfast, pipelined, inside", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-p256", .unit = "/s",
		.title = "P-256 signatures, level hsm, eight clients",
		.cells = {
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "p256" } },
			{ .who = "SoftHSM, x2",       .run = module_softhsm,  .work = { .threads = 2, .what = "p256" } },
			{ .who = "SoftHSM, x3",       .run = module_softhsm,  .work = { .threads = 3, .what = "p256" } },
			{ .who = "Holdfast",          .run = request_sign,    .work = { .threads = 8, .what = "bench-hsm-p256" } },
			{ .who = "Holdfast, inside",  .run = request_sign_inside, .work = { .threads = 8, .what = "bench-hsm-p256" } },
		},
		.goals = {
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 0.90 },
			{ "Holdfast, inside", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-rsa", .unit = "/s",
		.title = "RSA-2048 signatures, level hsm, eight clients",
		.cells = {
			{ .who = "SoftHSM, x1",       .run = module_softhsm,  .work = { .threads = 1, .what = "rsa" } },
			{ .who = "SoftHSM, x2",       .run = module_softhsm,  .work = { .threads = 2, .what = "rsa" } },
			{ .who = "Holdfast",          .run = request_sign,    .work = { .threads = 8, .what = "bench-hsm-rsa" } },
			{ .who = "Holdfast, inside",  .run = request_sign_inside, .work = { .threads = 8, .what = "bench-hsm-rsa" } },
		},
		.goals = {
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 0.90 },
			{ "Holdfast, inside", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "tls-ecdsa", .unit = "/s",
		.title = "TLS 1.3 handshakes with nginx, ECDSA P-256, four clients",
		.cells = {
			{ .who = "key in a file", .run = tls_handshakes, .work = { .threads = 4, .what = "ecdsa-file" } },
			{ .who = "Holdfast",      .run = tls_handshakes, .work = { .threads = 4, .what = "ecdsa" } },
		},
		.goals = {
			{ "Holdfast", "key in a file", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "tls-rsa", .unit = "/s",
		.title = "TLS 1.3 handshakes with nginx, RSA-2048, four clients",
		.cells = {
			{ .who = "key in a file", .run = tls_handshakes, .work = { .threads = 4, .what = "rsa-file" } },
			{ .who = "Holdfast",      .run = tls_handshakes, .work = { .threads = 4, .what = "rsa" } },
		},
		.goals = {
			{ "Holdfast", "key in a file", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "seal", .unit = " MB/s",
		.title = "Sealing a file, from memory to memory (512 MiB; 4 GiB with --full); CPU time without the kernel's, for 1 MB",
		.cells = {
			{ .who = "libcrypto, 1 core", .run = limit_stream,  .work = { .threads = 1 } },
			{ .who = "writing alone",     .run = seal_write,    .work = { 0 } },
			{ .who = "cp",                .run = seal_cp,       .work = { 0 } },
			{ .who = "Holdfast",          .run = seal_holdfast, .work = { 0 } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_VALUE, false, 0.80 },
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "seal-huge", .unit = " MB/s",
		.title = "The same in a file system of huge pages (mount -o huge=always), which costs the kernel less",
		.cells = {
			{ .who = "libcrypto, 1 core", .run = limit_stream,  .work = { .threads = 1 } },
			{ .who = "writing alone",     .run = seal_write,    .work = { .what = "huge" } },
			{ .who = "cp",                .run = seal_cp,       .work = { .what = "huge" } },
			{ .who = "Holdfast",          .run = seal_holdfast, .work = { .what = "huge" } },
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
			{ .who = "Holdfast, 10 keys",   .run = scale_encrypt, .work = { .what = "few" } },
			{ .who = "Holdfast, many keys", .run = scale_encrypt, .work = { .what = "many" } },
		},
		.goals = {
			{ "Holdfast, many keys", "Holdfast, 10 keys", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "start", .unit = " s of CPU",
		.title = "From the start of the daemon to its first answer",
		.cells = {
			{ .who = "Holdfast, 10 keys",   .run = scale_start, .work = { .what = "few" } },
			{ .who = "Holdfast, many keys", .run = scale_start, .work = { .what = "many" } },
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
			{ .who = "Holdfast, alone",  .run = scale_beside, .work = { .threads = 1 } },
			{ .who = "Holdfast, beside", .run = scale_beside, .work = { .threads = 2 } },
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
			{ .who = "disk, a line and a sync", .run = scale_disk },
			{ .who = "Holdfast, 1 client",   .run = scale_create, .work = { .threads = 1 } },
			{ .who = "Holdfast, 64 clients", .run = scale_create, .work = { .threads = 64 } },
		},
		.goals = {
			{ "Holdfast, 64 clients", "Holdfast, 1 client", METRIC_VALUE, false, 20 },
		},
	},
	{
		.name = "idle-wakeups", .unit = "/s",
		.title = "How often threads of an idle daemon, and of its process for the HSM, wake up",
		.cells = {
			{ "Holdfast", idle_wakeups, { 0 }, true },
		},
		.goals = {
			{ "Holdfast", NULL, METRIC_VALUE, true, 0 },
		},
	},
	{
		.name = "idle-memory", .unit = " KiB",
		.title = "Memory of an idle daemon, resident; and private, with its processes for the HSM (SoftHSM)",
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
			{ .who = "decode",                .run = cost_stage, .work = { .what = "decode" } },
			{ .who = "caller and key",        .run = cost_stage, .work = { .what = "key" } },
			{ .who = "policy",                .run = cost_stage, .work = { .what = "policy" } },
			{ .who = "audit: intent",         .run = cost_stage, .work = { .what = "intent" } },
			{ .who = "work",                  .run = cost_stage, .work = { .what = "work" } },
			{ .who = "encode",                .run = cost_stage, .work = { .what = "encode" } },
			{ .who = "audit: outcome",        .run = cost_stage, .work = { .what = "outcome" } },
			{ .who = "release",               .run = cost_stage, .work = { .what = "release" } },
			{ .who = "audit: write(2), once a turn", .run = cost_stage, .work = { .what = "write" } },
			{ .who = "Holdfast, policy and audit", .run = cost_stage, .work = { .what = "policy and audit" } },
			{ .who = "Holdfast, all but the write", .run = cost_stage, .work = { .what = "all" } },
		},
		.goals = {
			{ "Holdfast, policy and audit", NULL, METRIC_VALUE, true, 1500 },
		},
	},
	{
		.name = "allocations", .unit = "",
		.title = "Calls of malloc for one request inside the daemon, once warm, and how often OpenSSL's heap takes pages",
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
