// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * elf: a kernel as a 64-bit ELF file with a PVH entry point (Xen's docs/misc/pvh.pandoc): the note
 * XEN_ELFNOTE_PHYS32_ENTRY has the physical address of a 32-bit entry. Segments go to their physical
 * addresses. What a segment has beyond its bytes in the file is left alone: the memfd is fresh, so it
 * is zero, and touching it would cost pages that the guest may never use.
 */
#include <elf.h>
#include <errno.h>

#include "base/base.h"
#include "vmm/boot.h"
#include "vmm/loader.h"

enum {
	ELF_SEGMENTS_MAX = 64,
	ELF_NOTES_MAX = 256,
	ELF_XEN_PHYS32_ENTRY = 18,
};

static int elf_header(int fd, Elf64_Ehdr *header, char *why)
{
	int error = base_read_at(fd, header, sizeof(*header), 0);

	if (error == -ENODATA || (!error && memcmp(header->e_ident, ELFMAG, SELFMAG) != 0))
		return why_set(why, -ENOEXEC, "the kernel is not an ELF file");
	if (error)
		return why_set(why, error, "the kernel cannot be read: %s", strerror(-error));
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return why_set(why, -ENOTSUP, "the kernel is an ELF file, but not for x86-64");
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
	    header->e_phnum > ELF_SEGMENTS_MAX)
		return why_set(
		        why, -EINVAL,
		        "the kernel has %u program headers of %u bytes; expected 1 to %d of %zu",
		        header->e_phnum, header->e_phentsize, ELF_SEGMENTS_MAX, sizeof(Elf64_Phdr));
	return 0;
}

static int elf_load_segment(struct machine *m, int fd, const Elf64_Phdr *segment,
                            struct loader_kernel *kernel, char *why)
{
	void *memory = NULL;
	uint64_t end;
	int error;

	if (segment->p_memsz == 0)
		return 0;
	if (segment->p_filesz <= segment->p_memsz && segment->p_paddr >= BOOT_HIGH &&
	    !__builtin_add_overflow(segment->p_paddr, segment->p_memsz, &end))
		memory = machine_memory(m, segment->p_paddr, segment->p_memsz);
	if (!memory)
		return why_set(
		        why, -EINVAL,
		        "the kernel's segment at %#llx of %#llx bytes is not in guest memory",
		        (unsigned long long)segment->p_paddr, (unsigned long long)segment->p_memsz);
	error = base_read_at(fd, memory, segment->p_filesz, segment->p_offset);
	if (error)
		return why_set(why, error, "the kernel's segment at %#llx cannot be read: %s",
		               (unsigned long long)segment->p_paddr, strerror(-error));
	kernel->end = BASE_MAX(kernel->end, end);
	return 0;
}

/* One note: its descriptor is looked at when it is the PVH entry; *offset moves to the next. */
static int elf_note(int fd, uint64_t *offset, uint64_t end, uint64_t *entry)
{
	uint64_t left = end - *offset, name_size, desc_size, size;
	Elf64_Nhdr note;
	uint8_t value[8] = {0};
	char name[4];
	int error;

	if (left < sizeof(note))
		return -ENOENT;
	error = base_read_at(fd, &note, sizeof(note), *offset);
	if (error)
		return error;
	name_size = ((uint64_t)note.n_namesz + 3) & ~3ull;
	desc_size = ((uint64_t)note.n_descsz + 3) & ~3ull;
	size = sizeof(note) + name_size + desc_size; /* 32-bit numbers: no overflow */
	if (size > left)
		return -EINVAL;
	if (note.n_type == ELF_XEN_PHYS32_ENTRY && note.n_namesz == sizeof(name) &&
	    (note.n_descsz == 4 || note.n_descsz == 8)) {
		error = base_read_at(fd, name, sizeof(name), *offset + sizeof(note));
		if (!error)
			error = base_read_at(fd, value, note.n_descsz,
			                     *offset + sizeof(note) + name_size);
		if (error)
			return error;
		if (memcmp(name, "Xen", sizeof(name)) == 0)
			*entry = base_le64(value);
	}
	*offset += size;
	return 0;
}

static void elf_notes(int fd, const Elf64_Phdr *segment, uint64_t *entry)
{
	uint64_t offset = segment->p_offset, end;

	if (__builtin_add_overflow(offset, segment->p_filesz, &end))
		return;
	for (int i = 0; i < ELF_NOTES_MAX && *entry == 0; i++)
		if (elf_note(fd, &offset, end, entry) < 0)
			return;
}

int loader_elf(struct machine *m, int fd, struct loader_kernel *kernel, char *why)
{
	Elf64_Ehdr header;
	int error = elf_header(fd, &header, why);

	if (error)
		return error;
	*kernel = (struct loader_kernel){
	        .protocol = LOADER_PVH,
	        .initrd_max = UINT32_MAX,
	        .cmdline_max = BOOT_CMDLINE_MAX,
	};
	for (unsigned int i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		uint64_t offset;

		error = __builtin_add_overflow(header.e_phoff, i * sizeof(segment), &offset)
		                ? -EINVAL
		                : base_read_at(fd, &segment, sizeof(segment), offset);
		if (error)
			return why_set(why, error,
			               "the kernel's program header %u is not in the file", i);
		if (segment.p_type == PT_NOTE)
			elf_notes(fd, &segment, &kernel->entry);
		if (segment.p_type == PT_LOAD)
			error = elf_load_segment(m, fd, &segment, kernel, why);
		if (error)
			return error;
	}
	if (kernel->entry < BOOT_HIGH || kernel->entry >= kernel->end || kernel->entry > UINT32_MAX)
		return why_set(why, -EINVAL, "the kernel has no PVH entry point (%#llx)",
		               (unsigned long long)kernel->entry);
	return 0;
}
