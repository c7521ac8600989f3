/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull.h - an image of a registry, by skopeo
 *
 * The transport, its credentials (`skopeo login`, REGISTRY_AUTH_FILE) and its
 * policy (policy.json of containers-common) are skopeo's: Volt opens no
 * connection. What comes is an OCI layout, which is taken as any other
 * (take.h).
 */
#pragma once

#include "store/progress.h"

#include "base/err.h"

/**
 * pull_layout() - copy an image into an OCI layout
 * @reference:	debian:12, ghcr.io/owner/name:tag, HOST:PORT/NAME@sha256:...
 * @folder:	an empty folder; the layout becomes @folder/layout
 * @plain:	the registry may be reached without TLS
 *
 * Return: 0; -ENOENT (no skopeo), -EIO (it failed), -errno, with a sentence.
 */
int pull_layout(const char *reference, const char *folder, bool plain,
		struct progress *progress, struct err *err) __must_check;
