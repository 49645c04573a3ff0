// SPDX-License-Identifier: MIT OR Apache-2.0
//! OpenSSL's EVP SHA-256, as the distribution ships it, with and without SHA-NI.
//!
//! The library asks the CPU once, when it is loaded. To have both kinds in one
//! process, a copy of the file is loaded with `OPENSSL_ia32cap` set.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::{env, fs, ptr};

use anyhow::{Context as _, Result, ensure};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::native::arch::{WITHOUT_SHA, has_sha};
use crate::native::userspace::Digest;

/// The ABI of OpenSSL 3.
pub(crate) const NAME: &str = "libcrypto.so.3";

/// `bits/dlfcn.h`: a library's own symbols before those already loaded.
const RTLD_DEEPBIND: c_int = 8;

/// Kinds of text for `OpenSSL_version`: `openssl/crypto.h.in`.
const VERSION: c_int = 0;
const CPU_INFO: c_int = 9;

type Context = *mut c_void;
type Algorithm = *const c_void;
type Text = extern "C" fn(c_int) -> *const c_char;
type Fetch = extern "C" fn(*mut c_void, *const c_char, *const c_char) -> Algorithm;
type New = extern "C" fn() -> Context;
type Init = unsafe extern "C" fn(Context, Algorithm, *const c_void) -> c_int;
type Update = unsafe extern "C" fn(Context, *const c_void, usize) -> c_int;
type Finish = unsafe extern "C" fn(Context, *mut u8, *mut c_uint) -> c_int;

/// One copy of the library, and a message digest context of it.
pub(crate) struct OpenSsl {
    context: Context,
    algorithm: Algorithm,
    init: Init,
    update: Update,
    finish: Finish,
    pub(crate) version: String,
    /// Whether it believes that the CPU has the SHA extensions.
    pub(crate) has_sha: bool,
    _library: Library,
}

impl OpenSsl {
    /// Loads the installed library, and a copy of it that does without SHA-NI.
    ///
    /// # Safety
    /// No other thread reads or writes the environment meanwhile.
    pub(crate) unsafe fn load_both() -> Result<(Self, Self)> {
        let with = Self::load(OsStr::new(NAME))?;
        let maps = fs::read_to_string("/proc/self/maps")?;
        let file = maps
            .lines()
            .find_map(|line| {
                line.ends_with(NAME)
                    .then(|| line.find('/'))?
                    .map(|at| &line[at..])
            })
            .with_context(|| {
                format!("{NAME} is loaded, but /proc/self/maps does not say from where")
            })?;
        let copy = tempfile::NamedTempFile::new()?;
        fs::copy(file, copy.path())?;
        let (name, value) = WITHOUT_SHA.context("how to do without SHA-256 instructions?")?;
        // SAFETY: the promise made to this function.
        unsafe { env::set_var(name, value) };
        let without = Self::load(copy.path().as_os_str());
        // SAFETY: as above.
        unsafe { env::remove_var(name) };
        let without = without?;
        ensure!(!without.has_sha, "{NAME} takes no notice of {name}={value}");
        Ok((with, without))
    }

    /// Loads the library as it is.
    pub(super) fn load(file: &OsStr) -> Result<Self> {
        // SAFETY: libcrypto's constructors do no more than look at the CPU.
        let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND) };
        let library = library.with_context(|| format!("cannot load {}", file.display()))?;
        // SAFETY: its type by openssl/crypto.h.
        let text: Text = unsafe { symbol(&library, c"OpenSSL_version") }?;
        let text = |kind| {
            let text = text(kind);
            // SAFETY: a string of the library, which lives as long as it does.
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned()
        };
        let cpu = text(CPU_INFO);
        let has_sha = has_sha(&cpu).with_context(|| format!("OpenSSL says {cpu:?} of this CPU"))?;
        let version = text(VERSION);
        // SAFETY: its type by openssl/evp.h.
        let fetch: Fetch = unsafe { symbol(&library, c"EVP_MD_fetch") }?;
        let algorithm = fetch(ptr::null_mut(), c"SHA2-256".as_ptr(), ptr::null());
        // SAFETY: its type by openssl/evp.h.
        let new: New = unsafe { symbol(&library, c"EVP_MD_CTX_new") }?;
        let context = new();
        ensure!(
            !algorithm.is_null() && !context.is_null(),
            "{version} has no SHA2-256"
        );
        Ok(Self {
            context,
            algorithm,
            // SAFETY: its type by openssl/evp.h.
            init: unsafe { symbol(&library, c"EVP_DigestInit_ex") }?,
            // SAFETY: its type by openssl/evp.h.
            update: unsafe { symbol(&library, c"EVP_DigestUpdate") }?,
            // SAFETY: its type by openssl/evp.h.
            finish: unsafe { symbol(&library, c"EVP_DigestFinal_ex") }?,
            version,
            has_sha,
            _library: library,
        })
    }

    /// Hashes a message.
    pub(crate) fn digest(&mut self, message: &[u8]) -> Digest {
        let mut digest = Digest::default();
        let start = message.as_ptr().cast();
        // SAFETY: both were made by this library and are never freed.
        let begun = unsafe { (self.init)(self.context, self.algorithm, ptr::null()) };
        // SAFETY: reads the message.
        let fed = unsafe { (self.update)(self.context, start, message.len()) };
        // SAFETY: writes the 32 bytes of a SHA-256 digest.
        let ended = unsafe { (self.finish)(self.context, digest.as_mut_ptr(), ptr::null_mut()) };
        assert_eq!([begun, fed, ended], [1; 3], "{} failed", self.version);
        digest
    }
}

/// Returns a function of the library.
///
/// # Safety
/// `T` is its type.
unsafe fn symbol<T: Copy>(library: &Library, name: &CStr) -> Result<T> {
    // SAFETY: the promise made to this function.
    let symbol = unsafe { library.get::<T>(name.to_bytes_with_nul()) };
    Ok(*symbol.with_context(|| format!("{NAME} has no {name:?}"))?)
}
