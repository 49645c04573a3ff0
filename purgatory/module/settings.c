// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The parameters: what the blob does beyond the kernel's contract.
 *
 * They are written into the blob before it goes anywhere. What is not given
 * stays as the blob has it, but for the console: that is then the serial console
 * of the kernel. Afterwards each parameter reads as what is in force.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/console.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/serial_core.h>

#include "blob.h"

#define NOT_GIVEN UINT_MAX
#define FULL_SPEED 115200

char console[64];
module_param_string(console, console, sizeof(console), 0444);
MODULE_PARM_DESC(console, "com1 to com4, port=0x..., mmio=0x..., e9, vga, framebuffer (with commas between), or none");
static uint divisor = NOT_GIVEN;
module_param(divisor, uint, 0444);
MODULE_PARM_DESC(divisor, "of 115200 baud, for either UART; 0 keeps the speed as found");
static uint baud = NOT_GIVEN;
module_param(baud, uint, 0444);
MODULE_PARM_DESC(baud, "the same as a speed");
static char ramoops[48];
module_param_string(ramoops, ramoops, sizeof(ramoops), 0444);
MODULE_PARM_DESC(ramoops, "ADDRESS,SIZE of a zone of ramoops to record in, or none");
static int verbose = -1;
module_param(verbose, bint, 0444);
MODULE_PARM_DESC(verbose, "speak at entry, during long checks and at the end, too");
static char on_refusal[24];
module_param_string(on_refusal, on_refusal, sizeof(on_refusal), 0444);
MODULE_PARM_DESC(on_refusal, "halt, reset or reset-after=SECONDS");
static char on_exception[24];
module_param_string(on_exception, on_exception, sizeof(on_exception), 0444);
MODULE_PARM_DESC(on_exception, "halt, reset or reset-after=SECONDS");
static char backend[16];
module_param_string(backend, backend, sizeof(backend), 0444);
MODULE_PARM_DESC(backend, "auto, portable, sha-ni or sse2");
static uint patience = NOT_GIVEN;
module_param(patience, uint, 0444);
MODULE_PARM_DESC(patience, "seconds that a report may take");
static char sha256[] = BLOB_SHA256;
module_param_string(sha256, sha256, sizeof(sha256), 0444);
MODULE_PARM_DESC(sha256, "of the blob's file; if given, it has to be this one");

#define CONSOLE_PORT 1
#define CONSOLE_MMIO 2
#define CONSOLE_DEBUG 4
#define CONSOLE_VGA 8
#define CONSOLE_FRAMEBUFFER 16
#define CONSOLE_RAMOOPS 32

static const struct {
	const char *word;
	u32 bit;
	u16 port;
} consoles[] = {
	{ "com1", CONSOLE_PORT, 0x3f8 },
	{ "com2", CONSOLE_PORT, 0x2f8 },
	{ "com3", CONSOLE_PORT, 0x3e8 },
	{ "com4", CONSOLE_PORT, 0x2e8 },
	{ "e9", CONSOLE_DEBUG },
	{ "vga", CONSOLE_VGA },
	{ "framebuffer", CONSOLE_FRAMEBUFFER },
};

/* By number; 2 was a backend once. */
static const char * const backends[] = { "auto", "portable", "", "sha-ni", "sse2" };

static int __init set_console(struct purgatory_config *config)
{
	char copy[sizeof(console)], *rest = copy, *word;
	u32 bit, i;

	config->consoles &= CONSOLE_RAMOOPS;
	if (!strcmp(console, "none"))
		return 0;
	strscpy(copy, console, sizeof(copy));
	while ((word = strsep(&rest, ","))) {
		bit = 0;
		for (i = 0; i < ARRAY_SIZE(consoles); i++) {
			if (strcmp(word, consoles[i].word))
				continue;
			bit = consoles[i].bit;
			if (consoles[i].port)
				config->uart_port = consoles[i].port;
		}
		if (!strncmp(word, "port=", 5) && !kstrtou16(word + 5, 0, &config->uart_port) &&
		    config->uart_port <= 0xfff8)
			bit = CONSOLE_PORT;
		if (!strncmp(word, "mmio=", 5) && !kstrtou64(word + 5, 0, &config->uart_mmio) &&
		    config->uart_mmio && !(config->uart_mmio & 3) && !(config->uart_mmio >> 52))
			bit = CONSOLE_MMIO;
		if (!bit || config->consoles & bit) {
			pr_err("console=%s: give com1 to com4 or port=0x..., mmio=0x..., e9, vga, framebuffer, each once, or none\n",
			       console);
			return -EINVAL;
		}
		config->consoles |= bit;
	}
	return 0;
}

/*
 * Takes the UART of a ttyS console from the 8250 driver, which knows it best; tells
 * whether it was one.
 */
static bool __init follow(struct purgatory_config *config, const struct console *con)
{
	const struct uart_driver *driver = con->data;
	const struct uart_port *port;

	if (strcmp(con->name, "ttyS") || con->device != uart_console_device ||
	    con->index < 0 || con->index >= driver->nr)
		return false;
	port = driver->state[con->index].uart_port;
	if (port && port->iotype == UPIO_PORT && port->iobase && !port->regshift) {
		config->consoles &= ~CONSOLE_MMIO;
		config->consoles |= CONSOLE_PORT;
		config->uart_port = port->iobase;
	} else if (port && port->iotype == UPIO_MEM32 && port->mapbase && port->regshift == 2) {
		config->consoles &= ~CONSOLE_PORT;
		config->consoles |= CONSOLE_MMIO;
		config->uart_mmio = port->mapbase;
	}
	return true;
}

static void __init follow_kernel(struct purgatory_config *config)
{
	struct console *con;

	/* The first one is the one that /dev/console means. */
#ifdef for_each_console_srcu	/* since 6.2 */
	console_list_lock();
	for_each_console(con) {
		if (follow(config, con))
			break;
	}
	console_list_unlock();
#else
	console_lock();
	for_each_console(con) {
		if (follow(config, con))
			break;
	}
	console_unlock();
#endif
}

static int __init set_speed(struct purgatory_config *config)
{
	if (baud != NOT_GIVEN) {
		if (divisor != NOT_GIVEN || !baud || FULL_SPEED % baud)
			goto refuse;
		divisor = FULL_SPEED / baud;
	}
	if (divisor == NOT_GIVEN)
		return 0;
	if (divisor > U16_MAX)
		goto refuse;
	config->uart_divisor = divisor;
	return 0;
refuse:
	pr_err("give divisor=0 to divisor=65535, or a baud= that divides 115200\n");
	return -EINVAL;
}

static int __init set_ramoops(struct purgatory_config *config)
{
	char copy[sizeof(ramoops)], *size = copy;

	if (!*ramoops)
		return 0;
	config->consoles &= ~CONSOLE_RAMOOPS;
	if (!strcmp(ramoops, "none"))
		return 0;
	strscpy(copy, ramoops, sizeof(copy));
	strsep(&size, ",");
	if (!size || kstrtou64(copy, 0, &config->ramoops) ||
	    kstrtou32(size, 0, &config->ramoops_size) ||
	    !config->ramoops || config->ramoops & 3 || config->ramoops >> 52 ||
	    config->ramoops_size < 64) {
		pr_err("ramoops=%s: give address and size of a zone, as in 0x40000000,0x10000\n",
		       ramoops);
		return -EINVAL;
	}
	config->consoles |= CONSOLE_RAMOOPS;
	return 0;
}

static int __init set_action(const char *name, const char *text, u32 *action, u32 *delay)
{
	u32 seconds = 0;

	if (!*text)
		return 0;
	if (strcmp(text, "halt") && strcmp(text, "reset") &&
	    (strncmp(text, "reset-after=", 12) || kstrtou32(text + 12, 10, &seconds))) {
		pr_err("%s=%s: give halt, reset or reset-after=SECONDS\n", name, text);
		return -EINVAL;
	}
	*action = *text == 'r';
	*delay = seconds;
	return 0;
}

static int __init set_backend(struct purgatory_config *config)
{
	int number;

	if (!*backend)
		return 0;
	number = match_string(backends, ARRAY_SIZE(backends), backend);
	if (number < 0) {
		pr_err("backend=%s: give auto, portable, sha-ni or sse2\n", backend);
		return -EINVAL;
	}
	config->backend = number;
	return 0;
}

static void __init show_action(char *text, size_t size, u32 action, u32 delay)
{
	strscpy(text, action ? "reset" : "halt", size);
	if (action && delay)
		snprintf(text, size, "reset-after=%u", delay);
}

/* Lets the parameters say what the blob has. */
static void __init show(const struct purgatory_config *config)
{
	u32 rest = config->consoles, i;
	size_t at = 0;

	for (i = 0; i < ARRAY_SIZE(consoles); i++) {
		if (!(rest & consoles[i].bit) ||
		    (consoles[i].port && consoles[i].port != config->uart_port))
			continue;
		rest &= ~consoles[i].bit;
		at += scnprintf(console + at, sizeof(console) - at, ",%s", consoles[i].word);
	}
	if (rest & CONSOLE_PORT)
		at += scnprintf(console + at, sizeof(console) - at, ",port=%#x",
				config->uart_port);
	if (rest & CONSOLE_MMIO)
		at += scnprintf(console + at, sizeof(console) - at, ",mmio=%#llx",
				config->uart_mmio);
	if (!at)
		at = scnprintf(console, sizeof(console), ",none");
	memmove(console, console + 1, at);
	strscpy(ramoops, "none", sizeof(ramoops));
	if (config->consoles & CONSOLE_RAMOOPS)
		snprintf(ramoops, sizeof(ramoops), "%#llx,%#x", config->ramoops,
			 config->ramoops_size);
	show_action(on_refusal, sizeof(on_refusal), config->on_refusal, config->refusal_delay);
	show_action(on_exception, sizeof(on_exception), config->on_exception,
		    config->exception_delay);
	strscpy(backend, config->backend < ARRAY_SIZE(backends) ?
		backends[config->backend] : "", sizeof(backend));
	divisor = config->uart_divisor;
	baud = divisor ? FULL_SPEED / divisor : 0;
	verbose = config->verbosity;
	patience = config->patience;
}

/* Writes what was given into the blob, and says why not. */
int __init configure(void)
{
	struct purgatory_config *config;
	int error = 0;

	config = find_symbol(blob, blob_size(), "purgatory_config", sizeof(*config));
	if (!config || !find_symbol(blob, blob_size(), "purgatory_start", 1) ||
	    memcmp(config->magic, CONFIG_MAGIC, sizeof(config->magic)) ||
	    config->version != CONFIG_VERSION || config->size != sizeof(*config)) {
		pr_err("the blob in this module is damaged, or its settings are not of version %u\n",
		       CONFIG_VERSION);
		return -ENOEXEC;
	}
	if (strcmp(sha256, BLOB_SHA256)) {
		pr_err("sha256=%s: the blob in this module has %s\n", sha256, BLOB_SHA256);
		return -EINVAL;
	}
	if (*console)
		error = set_console(config);
	else
		follow_kernel(config);
	error = error ?: set_ramoops(config);
	error = error ?: set_speed(config);
	error = error ?: set_action("on_refusal", on_refusal,
				    &config->on_refusal, &config->refusal_delay);
	error = error ?: set_action("on_exception", on_exception,
				    &config->on_exception, &config->exception_delay);
	error = error ?: set_backend(config);
	if (error)
		return error;
	if (verbose >= 0)
		config->verbosity = verbose;
	if (patience != NOT_GIVEN)
		config->patience = patience;
	show(config);
	return 0;
}
