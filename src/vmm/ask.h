/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.h - --snapshot: one request to another volt-vmm
 */
#pragma once

#include "base/err.h"

/**
 * ask_for_snapshot() - have the VMM at @socket_path fill the directory @dir
 *
 * Return: 0 or -errno with a sentence, the VMM's own where it gave one.
 */
int ask_for_snapshot(const char *socket_path, const char *dir,
		     struct err *err) __must_check;
