/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmapi.h - the running VMs of this user, and their API
 *
 * `volt run NAME` lets volt-vmm listen at <run folder>/NAME.sock; there is no
 * other register of VMs. A socket that nobody listens at is what a killed
 * volt-vmm left behind. The process behind a socket is the one that called
 * listen(), which the kernel tells (SO_PEERCRED).
 */
#pragma once

#include "base/err.h"
#include "client/api_client.h"

#include <jansson.h>
#include <sys/types.h>
#include <sys/un.h>

#define VMAPI_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)
#define VMAPI_NAME_MAX 64

/* What volt-vmm takes as --id, 1 to 64 letters, digits and '-', but no word
 * that `volt snapshot` takes for another thing. Return: 0, or -EINVAL with a
 * sentence. */
int vmapi_check_name(const char *name, struct err *err) __must_check;

/**
 * vmapi_folder() - where this user's sockets are
 * @make:	create it (0700) if it is not there
 *
 * $XDG_RUNTIME_DIR/volt; without that variable /run/user/UID/volt where
 * /run/user/UID is the user's own, else /run/volt for root. A folder that
 * others could write to, or that is another's, is refused: who can put a socket
 * there can pose as a VM.
 *
 * Return: 0, -ENAMETOOLONG, -ENOENT when there is no place for it, -EPERM, or
 * -errno; with a sentence.
 */
int vmapi_folder(char *out, bool make, struct err *err) __must_check;

/* The socket of VM @name. @out has VMAPI_PATH_MAX bytes. Return: as
 * vmapi_folder(), with a sentence. */
int vmapi_socket(const char *name, char *out, bool make,
		 struct err *err) __must_check;

/**
 * vmapi_open() - connect to VM @name
 *
 * Return: 0; -ENOENT when there is none, also when only its socket is left
 * (-ECONNREFUSED); -errno; with a sentence.
 */
int vmapi_open(struct api_client *api, const char *name,
	       struct err *err) __must_check;

/**
 * vmapi_each() - each VM of this user, by name, that somebody listens for
 * @each:	gets the VM's name, the path of its socket and a connection that
 *		is closed behind it
 *
 * Return: 0, also when there is none, or -errno with a sentence.
 */
int vmapi_each(void (*each)(void *ctx, const char *name, const char *socket,
			    struct api_client *api),
	       void *ctx, struct err *err) __must_check;

/* For @waiting of a client: tells a person every ten seconds, on standard
 * error. */
void vmapi_say_waiting(struct api_client *api, unsigned int seconds);

/* Pause the VM, or let it go on. Return: as vmapi_call(). */
int vmapi_set_paused(struct api_client *api, bool paused,
		     struct err *err) __must_check;

/* Is it paused? Return: 1, 0, or as vmapi_call() with a sentence. */
int vmapi_is_paused(struct api_client *api, struct err *err) __must_check;

/* Was it restored, and has not run since? Of an older volt-vmm: no. */
bool vmapi_waits(struct api_client *api);

/**
 * vmapi_call() - one request
 * @body:	NULL for none
 * @answer:	receives the decoded body, NULL when there is none; NULL to
 *		drop it
 *
 * Return: 0; -EREMOTEIO with the VM's own words when it refuses; -EBUSY when
 * all places of its API are taken; -ETIMEDOUT; -errno; with a sentence.
 */
int vmapi_call(struct api_client *api, const char *method, const char *target,
	       const char *body, json_t **answer, struct err *err) __must_check;
