/* array_file.c - arrays that come from elsewhere: NumPy's files and what is wrong with them, failures of the system while one
 * is read or written, and DLPack both ways. */
#include "gpu/array.h"
#include "test.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoke.h>

static yoke_device *dev;
static yoke_stream *s;
static char folder[64], path[100];

static void begin(void)
{
    dev = yoke_device_open("cpu:2");
    s = yoke_stream_open(dev);
    CHECK(s != NULL);
    snprintf(folder, sizeof folder, "/tmp/yoke-array-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a.npy", folder);
}

/* How many files there are in the folder. */
static int files(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void end(void)
{
    unlink(path);
    CHECK_INT(files(), 0);
    CHECK_INT(rmdir(folder), 0);
    yoke_device_memory m;
    CHECK_INT(yoke_device_memory_stats(dev, &m), 0);
    CHECK_INT(m.blocks, 0);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(a_file_is_what_numpy_writes)
{
    static const char expected[] =
        "\x93NUMPY\x01\x00v\x00{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }";
    begin();
    yoke_array *a = yoke_array_arange(s, YOKE_I32, 0, 6, 1), *b = yoke_array_reshape(a, yoke_shape(2, 3));
    CHECK_INT(yoke_array_save(b, path), 0);
    char bytes[300] = "";
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    CHECK_INT(fread(bytes, 1, sizeof bytes, f), 128 + 24);
    fclose(f);
    CHECK(memcmp(bytes, expected, sizeof expected - 1) == 0);
    CHECK_INT(bytes[127], '\n');
    CHECK_INT(bytes[128 + 4], 1);
    CHECK_INT(files(), 1);
    yoke_array *c = yoke_array_load(s, path);
    CHECK(c && c->ndim == 2 && c->shape[0] == 2 && c->shape[1] == 3 && c->type == YOKE_I32);
    yoke_array *column = yoke_array_slice(c, 1, 1, 2, 1);
    CHECK_INT(yoke_array_save(column, path), 0); /* steps, and a file that is there */
    yoke_array *d = yoke_array_load(s, path);
    int32_t got[2];
    CHECK_INT(yoke_array_get(d, got, sizeof got), 0);
    CHECK(got[0] == 1 && got[1] == 4);
    yoke_array *every[] = {a, b, c, column, d};
    for (size_t k = 0; k < YK_COUNT_OF(every); k++)
        yoke_array_free(every[k]);
    end();
}

/* ---- What is wrong with a file ---- */

static void check_bytes(const char *head, size_t head_len, const char *dictionary, int code, const char *text)
{
    char file[1000];
    size_t len = strlen(dictionary);
    memcpy(file, head, head_len);
    file[head_len] = (char)len;
    file[head_len + 1] = 0;
    memcpy(file + head_len + 2, dictionary, len);
    memset(file + head_len + 2 + len, 0, 16);
    yoke_array *a = yoke_array_load_bytes(s, (yoke_bytes){file, head_len + 2 + len + 16});
    if (code == 0 && !a)
        test_fail(__FILE__, __LINE__, "%s: %s", dictionary, yoke_device_error(dev));
    CHECK((a != NULL) == (code == 0));
    if (!a)
        CHECK_HAS(yoke_device_error(dev), text);
    yoke_array_free(a);
}

TEST(each_wrong_header_has_its_line)
{
    static const struct {
        const char *dictionary, *text;
    } wrong[] = {
        {"", "no dictionary"},
        {"{", "no key"},
        {"{}", "a key is missing"},
        {"{'descr'", "no key"},
        {"{'descr': '<f8', 'fortran_order': False}", "a key is missing"},
        {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': ()}", "a key that does not belong there"},
        {"{'descr': '<f8', 'fortran_order': 0, 'shape': ()}", "no truth value"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': 3}", "no shape"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}", "no length"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3 4)}", "a shape without end"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,", "no length"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2)}", "a shape that is no tuple"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", "a length beyond all memory"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", "its shape (3,) needs more than the 16 bytes there are"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': ()} 1", "something after the end"},
        {"{'descr': '<f8' 'fortran_order': False, 'shape': ()}", "no end"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': ()}", "its type is '<c8'"},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': ()}", "its type is '<f16'"},
        {"{'descr': '|f8', 'fortran_order': False, 'shape': ()}", "its type is '|f8'"},
        {"{'descr': '\x1b[2J', 'fortran_order': False, 'shape': ()}", "its type is '?[2J'"},
        {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': ()}", "records"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1)}", "it has 5 dimensions, at most 4"}};
    begin();
    for (size_t k = 0; k < YK_COUNT_OF(wrong); k++)
        check_bytes("\x93NUMPY\x01\x00", 8, wrong[k].dictionary, -EBADMSG, wrong[k].text);
    static const char good[] = "{ 'shape' :(2,),\n\"fortran_order\":True, 'descr': '>i8' }  \n";
    check_bytes("\x93NUMPY\x01\x00", 8, good, 0, "");
    check_bytes("\x93NUMPY\x07\x00", 8, good, -EBADMSG, "NumPy file of version 7.0, known are 1.0, 2.0 and 3.0");
    check_bytes("\x93NUMPX\x01\x00", 8, good, -EBADMSG, "it does not begin with");
    static const char nul[] = "\x93NUMPY\x01\x00\x39\x00{'descr': '\0f8', 'fortran_order': False, 'shape': (1,)}  \0\0\0\0\0\0\0";
    CHECK(yoke_array_load_bytes(s, (yoke_bytes){nul, sizeof nul}) == NULL);
    CHECK_HAS(yoke_device_error(dev), "its type is '");
    CHECK(yoke_array_load_bytes(s, (yoke_bytes){"\x93NUMPY\x02\x00\xff\xff\xff\xff", 12}) == NULL);
    CHECK_HAS(yoke_device_error(dev), "a header of 4294967295 bytes");
    end();
}

/* ---- Failures of the system ---- */

TEST(a_file_that_cannot_be_written_leaves_the_old_one)
{
    begin();
    yoke_array *a = yoke_array_ones(s, YOKE_F64, yoke_shape(1000)), *b = yoke_array_zeros(s, YOKE_F64, yoke_shape(1000));
    CHECK_INT(yoke_array_save(a, path), 0);
    for (int n = 1; n <= 2; n++) {
        yk_sys_fail("write", n, ENOSPC);
        CHECK_INT(yoke_array_save(b, path), -ENOSPC);
        yk_sys_fail("write", 0, 0);
        CHECK_HAS(yoke_device_error(dev), "save: ");
        CHECK_HAS(yoke_device_error(dev), "No space left on device");
        CHECK_INT(files(), 1); /* no part is left behind */
    }
    yk_sys_fail("openat", 1, EACCES);
    CHECK_INT(yoke_array_save(b, path), -EACCES);
    yk_sys_fail("openat", 0, 0);
    yk_sys_fail("write", 1, EINTR); /* goes on */
    CHECK_INT(yoke_array_save(a, path), 0);
    yk_sys_fail("write", 0, 0);
    yoke_array *c = yoke_array_load(s, path), *sum = yoke_array_sum(c, YOKE_ALL_AXES, false);
    double item;
    CHECK_INT(yoke_array_item(sum, &item), 0);
    CHECK(item == 1000);
    yoke_array *every[] = {a, b, c, sum};
    for (size_t k = 0; k < YK_COUNT_OF(every); k++)
        yoke_array_free(every[k]);
    end();
}

/* Whether loading fails when its n-th read does. The pool may read meanwhile how many CPUs there are, and meet the error: then
 * once more. */
static bool fails_at_read(int n)
{
    yoke_array *a = NULL;
    for (int tries = 0; tries < 20; tries++) {
        yk_sys_fail("read", n, EIO);
        a = yoke_array_load(s, path);
        yk_sys_fail("read", 0, 0);
        if (!a)
            return true;
        yoke_array_free(a);
    }
    return false;
}

TEST(a_file_that_cannot_be_read_says_why)
{
    begin();
    yoke_array *a = yoke_array_ones(s, YOKE_F64, yoke_shape(1000));
    CHECK_INT(yoke_array_save(a, path), 0);
    for (int n = 1; n <= 3; n++) { /* the beginning, the dictionary, the elements */
        CHECK(fails_at_read(n));
        CHECK_HAS(yoke_device_error(dev), "reading: Input/output error");
        yk_sys_fail("read", n, EINTR);
        yoke_array *b = yoke_array_load(s, path);
        yk_sys_fail("read", 0, 0);
        CHECK_INT(yoke_array_elements(b), 1000);
        yoke_array_free(b);
    }
    yk_sys_fail("malloc", 1, ENOMEM);
    CHECK(yoke_array_load(s, path) == NULL);
    yk_sys_fail("malloc", 0, 0);
    CHECK_HAS(yoke_device_error(dev), "no memory for the header");
    CHECK_INT(truncate(path, 500), 0);
    CHECK(yoke_array_load(s, path) == NULL);
    CHECK_HAS(yoke_device_error(dev), "needs more than the 372 bytes there are");
    CHECK_INT(truncate(path, 5), 0);
    CHECK(yoke_array_load(s, path) == NULL);
    CHECK_HAS(yoke_device_error(dev), "it ends too early, 5 bytes of 10 are there");
    yoke_array_free(a);
    end();
}

TEST_LIMIT(what_is_no_file_is_refused_at_once, 20)
{
    begin();
    CHECK_INT(mkfifo(path, 0600), 0); /* nobody writes */
    CHECK(yoke_array_load(s, path) == NULL);
    CHECK_HAS(yoke_device_error(dev), "/a.npy is no regular file");
    CHECK(yoke_array_load(s, folder) == NULL);
    CHECK_HAS(yoke_device_error(dev), "is no regular file");
    end();
}

TEST(a_long_path_keeps_its_end)
{
    begin();
    char far[600] = "";
    for (size_t k = 0; k < 500; k += 2)
        memcpy(far + k, "./", 2);
    memcpy(far + 500, "missing.npy", 12);
    CHECK(yoke_array_load(s, far) == NULL);
    CHECK_HAS(yoke_device_error(dev), "/missing.npy: No such file or directory");
    yoke_array *a = yoke_array_ones(s, YOKE_F64, yoke_shape(3));
    memcpy(far + 500, "nowhere/missing.npy", 20);
    CHECK_INT(yoke_array_save(a, far), -ENOENT);
    CHECK_HAS(yoke_device_error(dev), "/missing.npy: No such file or directory");
    yoke_array_free(a);
    end();
}

/* ---- DLPack ---- */

static int deleted;
static void delete_own(yoke_dlpack *t)
{
    CHECK(t->manager_ctx == &deleted);
    deleted++;
}

static float own[12];
static int64_t own_shape[2] = {2, 3}, own_strides[2] = {1, 4};
static yoke_dlpack own_tensor(void)
{
    yoke_dlpack t = {.version = {1, 1}, .manager_ctx = &deleted, .deleter = delete_own};
    t.tensor = (yoke_dlpack_tensor){.data = own, .device = {YOKE_DLPACK_CPU, 0}, .ndim = 2, .dtype = {2, 32, 1},
                                    .shape = own_shape,
                                    .strides = own_strides, .byte_offset = 4};
    return t;
}

TEST(a_tensor_of_another_library_is_an_array)
{
    CHECK_INT(offsetof(yoke_dlpack, tensor), 32); /* as dlpack.h has it on machines of 64 bits */
    CHECK_INT(sizeof(yoke_dlpack_tensor), 48);
    CHECK_INT(offsetof(yoke_dlpack_tensor, shape), 24);
    begin();
    for (int k = 0; k < 12; k++)
        own[k] = (float)k;
    yoke_dlpack t = own_tensor();
    yoke_array *a = yoke_array_from_dlpack(s, &t), *row = yoke_array_index(a, 0, 1);
    CHECK(a && a->data == own + 1 && a->type == YOKE_F32 && a->step[1] == 4);
    float got[3];
    yoke_array_free(a);
    CHECK_INT(deleted, 0); /* row still uses it */
    CHECK_INT(yoke_array_get(row, got, sizeof got), 0);
    CHECK(got[0] == 2 && got[1] == 6 && got[2] == 10);
    yoke_array_free(row);
    CHECK_INT(deleted, 1);
    t.tensor.strides = NULL; /* one after the other */
    t.deleter = NULL;        /* allowed */
    a = yoke_array_from_dlpack(s, &t);
    CHECK(a && yoke_array_is_flat(a));
    yoke_array_free(a);
    end();
}

static void check_wrong(yoke_dlpack t, const char *text)
{
    CHECK(yoke_array_from_dlpack(s, &t) == NULL);
    CHECK_HAS(yoke_device_error(dev), text);
}

TEST(a_tensor_that_does_not_fit_is_refused_and_stays_the_callers)
{
    begin();
    deleted = 0;
    yoke_dlpack t = own_tensor();
    t.version.major = 2;
    check_wrong(t, "dlpack: its version is not 1");
    t = own_tensor();
    t.tensor.ndim = 5;
    check_wrong(t, "it has more than 4 dimensions");
    t = own_tensor();
    t.tensor.dtype.bits = 16;
    check_wrong(t, "its type is none of an array");
    t = own_tensor();
    t.tensor.dtype.lanes = 4;
    check_wrong(t, "its type is none of an array");
    t = own_tensor();
    t.tensor.device.type = YOKE_DLPACK_CUDA;
    check_wrong(t, "it is not in memory of the host");
    t = own_tensor();
    t.tensor.byte_offset = 2;
    check_wrong(t, "is not aligned for f32");
    t = own_tensor();
    int64_t shape[] = {2, -1};
    t.tensor.shape = shape;
    check_wrong(t, "a length is negative");
    CHECK_INT(deleted, 0);
    CHECK(yoke_array_from_dlpack(s, NULL) == NULL);
    end();
}

TEST(an_array_is_a_tensor_for_another_library)
{
    begin();
    yoke_array *a = yoke_array_arange(s, YOKE_U16, 0, 12, 1), *m = yoke_array_reshape(a, yoke_shape(3, 4));
    yoke_array *v = yoke_array_flip(m, yoke_axes(1));
    yoke_dlpack *t = yoke_array_to_dlpack(v);
    CHECK(t != NULL);
    CHECK(t->version.major == 1 && t->version.minor == 1 && t->flags == 0);
    CHECK(t->tensor.dtype.code == 1 && t->tensor.dtype.bits == 16 && t->tensor.dtype.lanes == 1);
    CHECK(t->tensor.ndim == 2 && t->tensor.shape[1] == 4 && t->tensor.strides[0] == 4 && t->tensor.strides[1] == -1);
    CHECK_INT(t->tensor.device.type, YOKE_DLPACK_CPU);
    CHECK(((uint16_t *)t->tensor.data)[0] == 3);
    yoke_array_free(a);
    yoke_array_free(m);
    yoke_array_free(v);
    CHECK(((uint16_t *)t->tensor.data)[4] == 7); /* the tensor keeps the elements */
    yoke_array *back = yoke_array_from_dlpack(s, t);
    CHECK(back && back->step[1] == -1);
    CHECK(yoke_array_to_dlpack(back) == NULL); /* is not its own to give away */
    CHECK_HAS(yoke_device_error(dev), "yoke_array_copy() it");
    yoke_array_free(back); /* calls the deleter: `end` sees whether all has been given back */
    CHECK(yoke_array_to_dlpack(NULL) == NULL);
    end();
}
