/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - what an image says of how it is run
 *
 * Reference: OCI Image Format Specification 1.1, config.md.
 */
#pragma once

#include "base/err.h"

#define OCI_CONFIG_MAX MIB(4)
#define OCI_LAYERS_MAX 1024u

/**
 * struct oci_words - strings in their order
 * @word:	NULL-terminated; NULL when there are none; owned
 */
struct oci_words {
	unsigned int nr;
	char **word;
};

/**
 * struct oci_config - strings are owned; "" where the image says nothing
 * @user:	a user or uid, and a group or gid behind a colon
 * @stop_signal: a name or a number
 * @env:	NAME=VALUE
 * @ports:	80/tcp, 53/udp, sorted
 * @diff_ids:	"sha256:" and 64 digits: of each layer, unpacked
 */
struct oci_config {
	char *architecture;
	char *os;
	char *user;
	char *workdir;
	char *stop_signal;
	struct oci_words entrypoint;
	struct oci_words cmd;
	struct oci_words env;
	struct oci_words ports;
	struct oci_words diff_ids;
};

/**
 * oci_config_parse() - the configuration in a JSON text, checked
 *
 * Return: 0; -EINVAL, -ENOMEM with a sentence. oci_config_free() in any case.
 */
int oci_config_parse(const char *text, size_t len, struct oci_config *config,
		     struct err *err) __must_check;

void oci_config_free(struct oci_config *config);
