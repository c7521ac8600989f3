/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aml.h - as much of AML as a machine with one event needs
 *
 * Objects that hold others are opened and closed: the length that stands in
 * front of an object is put there, as short as it may be, when it is closed.
 * Reference: ACPI 6.4, chapter 20 (AML) and 6.4 (resources).
 */
#pragma once

#include "boot/tables.h"

/**
 * struct aml_block - an open object
 * @body:	where its contents start
 */
struct aml_block {
	size_t body;
};

/* Names are four characters, relative to where they stand. */
struct aml_block aml_open_scope(struct table *table, const char *name);
struct aml_block aml_open_device(struct table *table, const char *name);
struct aml_block aml_open_package(struct table *table, uint8_t nr);
/* A method of @nr_args arguments, serialized. */
struct aml_block aml_open_method(struct table *table, const char *name,
				 uint8_t nr_args);
void aml_close(struct table *table, struct aml_block block);

/* Name (@name, ...): one of the values below must follow. */
void aml_name(struct table *table, const char *name);

/* An integer in its shortest form; a string with its NUL. */
void aml_int(struct table *table, uint64_t v);
void aml_string(struct table *table, const char *text);
/* Notify (@name, @value), within a method. */
void aml_notify(struct table *table, const char *name, uint8_t value);
/* @id: three capital letters and four hexadecimal digits. */
void aml_eisa_id(struct table *table, const char *id);

/* ResourceTemplate: a buffer of the resources between open and close. */
struct aml_block aml_open_resources(struct table *table);
void aml_res_io(struct table *table, uint16_t port, uint8_t len);
void aml_res_memory(struct table *table, uint32_t base, uint32_t len);
/* Edge-triggered, active high, exclusive. */
void aml_res_irq(struct table *table, uint32_t gsi);
void aml_close_resources(struct table *table, struct aml_block block);
