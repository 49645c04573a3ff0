// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Puts this project's purgatory in the place of the running kernel's own.
 *
 * kexec_file_load(2) reads the array kexec_purgatory anew at every load, and
 * nothing else ever does. The module writes its blob over that array while it
 * is loaded, and the kernel's bytes back when it goes. It refuses a kernel
 * whose array is not what it expects, and changes nothing else.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#include "blob.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 5, 0)
#error "before Linux 5.5 the loader wants symbols that this purgatory has not (purgatory_backup_*)"
#endif

#if !defined(CONFIG_X86_64) || !defined(CONFIG_KEXEC_FILE) || \
	!defined(CONFIG_KPROBES) || !defined(CONFIG_KALLSYMS_ALL)
#error "this takes an x86-64 kernel with CONFIG_KEXEC_FILE, CONFIG_KPROBES and CONFIG_KALLSYMS_ALL"
#endif

asm(".pushsection .init.data, \"aw\"\n\t"
	".balign 8\n\t"
	".globl blob, blob_end\n"
	"blob:\n\t"
	".incbin \"purgatory.ro\"\n"
	"blob_end:\n\t"
	".popsection");

/* How long a load in flight is waited for. */
#define PATIENCE (10 * HZ)

/* The kernel's array, its lock, and what is loaded now (struct kimage *). */
static const u8 *slot;
static size_t slot_size;
static atomic_t *kexec_lock;
static struct mutex *kexec_mutex;
static void **kexec_image, **kexec_crash_image;

/* Both contents of the whole array. */
static u8 *stock, *ours;

/* Whether an image was loaded before the last change. */
static bool is_loaded;

/*
 * Returns the address of a symbol that is not exported, or NULL.
 *
 * register_kprobe() looks names up. It refuses data, but only after it has put
 * down its address. The usual way, a kprobe on kallsyms_lookup_name() and then a
 * call of that address, is an exception where IBT is on: the kernel removes the
 * ENDBR of functions that it never calls by address itself, this one too.
 */
static void * __init lookup(const char *name)
{
	struct kprobe probe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };

	if (!register_kprobe(&probe))
		unregister_kprobe(&probe);
	return probe.addr;
}

/* Maps the array once more, writable; the kernel's mapping stays read-only. */
static void *map_slot(void)
{
	unsigned long count = PFN_UP(offset_in_page(slot) + slot_size), i;
	struct page **pages = kmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	void *map = NULL;

	if (pages) {
		for (i = 0; i < count; i++)
			pages[i] = pfn_to_page(PHYS_PFN(__pa_symbol(slot)) + i);
		map = vmap(pages, count, VM_MAP, PAGE_KERNEL);
		kfree(pages);
	}
	return map;
}

static bool try_lock(void)
{
	return kexec_lock ? !atomic_cmpxchg_acquire(kexec_lock, 0, 1) :
			    mutex_trylock(kexec_mutex);
}

static void unlock(void)
{
	if (kexec_lock)
		atomic_set_release(kexec_lock, 0);
	else
		mutex_unlock(kexec_mutex);
}

/*
 * Puts @new where @old is, or changes nothing.
 *
 * Every load takes the same lock, so none sees half of it. A panic that finds
 * it taken starts no crash kernel: everything that can be done before is, and
 * whoever has the lock keeps the CPU.
 */
static int exchange(const u8 *new, const u8 *old)
{
	void *map = map_slot();
	int error = -EBUSY;
	u8 *alias;

	if (!map)
		return -ENOMEM;
	alias = map + offset_in_page(slot);
	preempt_disable();
	if (try_lock()) {
		error = memcmp(slot, old, slot_size) ? -ESTALE : 0;
		if (!error) {
			memcpy(alias, new, slot_size);
			error = memcmp(slot, new, slot_size) ? -EIO : 0;
		}
		if (error == -EIO)
			memcpy(alias, old, slot_size);
		is_loaded = (kexec_image && *kexec_image) ||
			    (kexec_crash_image && *kexec_crash_image);
		unlock();
	}
	preempt_enable();
	vunmap(map);
	return error;
}

/* Finds what the kernel has, and refuses what is not as expected. */
static int __init find_slot(void)
{
	const size_t *size = lookup("kexec_purgatory_size");

	slot = lookup("kexec_purgatory");
	kexec_lock = lookup("__kexec_lock");
	/* What 6.1 has, and most stable releases of the older ones, was this. */
	kexec_mutex = kexec_lock ? NULL : lookup("kexec_mutex");
	kexec_image = lookup("kexec_image");
	kexec_crash_image = lookup("kexec_crash_image");
	if (!slot || !size || (!kexec_lock && !kexec_mutex)) {
		pr_err("%s is not to be found: the kernel needs CONFIG_KEXEC_FILE, _KPROBES, _KALLSYMS_ALL\n",
		       !slot ? "kexec_purgatory" :
		       !size ? "kexec_purgatory_size" : "__kexec_lock");
		return -ENOENT;
	}
	slot_size = *size;
	if (!find_symbol(slot, slot_size, "purgatory_start", 1)) {
		pr_err("the %zu bytes of kexec_purgatory are no x86-64 purgatory\n", slot_size);
		return -ENOEXEC;
	}
	if (find_symbol(slot, slot_size, "purgatory_config", sizeof(u64))) {
		pr_err("this kernel has such a purgatory already, built in or by another module\n");
		return -EALREADY;
	}
	if (blob_size() > slot_size) {
		pr_err("the blob has %zu bytes, the kernel's own purgatory %zu\n",
		       blob_size(), slot_size);
		return -ENOSPC;
	}
	return 0;
}

static int __init replace(void)
{
	unsigned long deadline = jiffies + PATIENCE;
	int error;

	stock = vmalloc(slot_size);
	ours = vzalloc(slot_size);
	if (!stock || !ours)
		return -ENOMEM;
	memcpy(stock, slot, slot_size);
	memcpy(ours, blob, blob_size());
	while ((error = exchange(ours, stock)) == -EBUSY && time_before(jiffies, deadline)) {
		if (msleep_interruptible(20))
			return -EINTR;
	}
	if (error == -EBUSY)
		pr_err("a kexec load has had the lock for 10 s: try again\n");
	else if (error)
		pr_err("kexec_purgatory could not be replaced (%d) and is as it was\n", error);
	return error;
}

/*
 * do_kexec_load(entry, nr_segments, ...), behind the check of who may load; a
 * load of nothing is an unload.
 */
static int on_kexec_load(struct kprobe *probe, struct pt_regs *regs)
{
	if (regs->si)
		pr_warn_once("%s (pid %d) uses kexec_load(2): such an image brings a purgatory of its own and bypasses this one. Use kexec -s; for kdump-tools, KDUMP_KEXEC_ARGS=\"-s\"\n",
			     current->comm, current->pid);
	return 0;
}

static struct kprobe watch = {
	.symbol_name = "do_kexec_load",
	.pre_handler = on_kexec_load,
};

static bool is_watching;

static int __init purgatory_init(void)
{
	int error = configure();

	error = error ?: find_slot();
	error = error ?: replace();
	if (error) {
		vfree(stock);
		vfree(ours);
		return error;
	}
	is_watching = !register_kprobe(&watch);
	pr_info("%s (sha256 %.16s...) replaces the kernel's own, console %s%s\n",
		BLOB_VERSION, BLOB_SHA256, console,
		is_watching || !IS_ENABLED(CONFIG_KEXEC) ? "" : "; cannot watch kexec_load(2)");
	if (is_loaded)
		pr_warn("an image loaded before this keeps the purgatory that it has: load it again\n");
	return 0;
}

static void __exit purgatory_exit(void)
{
	unsigned long deadline = jiffies + PATIENCE;
	int error;

	if (is_watching)
		unregister_kprobe(&watch);
	/* Nobody can be refused here, but a load in flight ends. */
	while ((error = exchange(stock, ours)) == -EBUSY || error == -ENOMEM) {
		if (deadline && time_after(jiffies, deadline)) {
			pr_warn("waiting for a kexec load to end\n");
			deadline = 0;
		}
		msleep(20);
	}
	if (error)
		pr_err("kexec_purgatory is not what was put there (%d) and stays so\n", error);
	else
		pr_info("the kernel's own is back%s\n",
			is_loaded ? "; an image that is loaded keeps the one that it has" : "");
	vfree(stock);
	vfree(ours);
}

module_init(purgatory_init);
module_exit(purgatory_exit);

MODULE_DESCRIPTION("Replaces the kernel's kexec purgatory while it is loaded");
MODULE_AUTHOR("The purgatory authors");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(BLOB_VERSION);
