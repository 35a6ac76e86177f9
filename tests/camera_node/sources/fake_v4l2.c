/* A /dev/video0 for the real V4L2 code of OpenCV, put before the C library by LD_PRELOAD.

   FAKE_V4L2_FRAMES   folder; its files, by name, are the buffers, over and over (empty ones, too)
   FAKE_V4L2_FORMATS  which of MJPG, YUYV and UYVY the camera has, the first unless another is asked for

   FAKE_V4L2_MODE     WIDTHxHEIGHT@RATE, 160x120@50 unless given

   Buffers are stamped with the monotonic clock 100 ms ago. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 8, SIZE = 4 * 1024 * 1024, LATE_MS = 100 };

static int width = 160, height = 120, rate = 50;
static int device = -1;
static __u32 format;
static void *memory[BUFFERS];
static int queue[BUFFERS], queued, frame;
static glob_t frames;

#define REAL(name) dlsym(RTLD_NEXT, #name)

static int fail(int error) { errno = error; return -1; }

static int has(__u32 wanted) {
    const char *formats = getenv("FAKE_V4L2_FORMATS");
    char name[5] = {0};
    memcpy(name, &wanted, 4);
    return strstr(formats ? formats : "MJPG", name) != 0;
}

static int open_device(void) {
    char pattern[4096];
    const char *mode = getenv("FAKE_V4L2_MODE");
    if (mode) sscanf(mode, "%dx%d@%d", &width, &height, &rate);
    snprintf(pattern, sizeof pattern, "%s/*", getenv("FAKE_V4L2_FRAMES"));
    if (glob(pattern, 0, 0, &frames)) return fail(ENODEV);
    format = has(V4L2_PIX_FMT_YUYV) ? V4L2_PIX_FMT_YUYV
             : has(V4L2_PIX_FMT_UYVY) ? V4L2_PIX_FMT_UYVY : V4L2_PIX_FMT_MJPEG;
    queued = 0;
    return device = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

static int opened(const char *path, int flags, int mode, int (*real)(const char *, int, ...)) {
    return path && !strcmp(path, "/dev/video0") ? open_device() : real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return opened(path, flags, mode, REAL(open));
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return opened(path, flags, mode, REAL(open64));
}

static void *mapped(void *at, size_t size, int how, int flags, int file, off_t offset, void *real) {
    void *(*map)(void *, size_t, int, int, int, off_t) = real;
    if (file < 0 || file != device) return map(at, size, how, flags, file, offset);
    void *made = map(0, size, how | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory[offset / SIZE] = made;
}

void *mmap(void *at, size_t size, int how, int flags, int file, off_t offset) {
    return mapped(at, size, how, flags, file, offset, REAL(mmap));
}

void *mmap64(void *at, size_t size, int how, int flags, int file, off_t offset) {
    return mapped(at, size, how, flags, file, offset, REAL(mmap64));
}

static int run_clock(int on) {
    struct itimerspec beat = {{0, on ? 1000000000L / rate : 0}, {0, on ? 1000000000L / rate : 0}};
    queued = on ? queued : 0;
    return timerfd_settime(device, 0, &beat, 0);
}

static int describe_format(struct v4l2_format *about, int set) {
    struct v4l2_pix_format *pixels = &about->fmt.pix;
    if (set && has(pixels->pixelformat)) format = pixels->pixelformat;
    pixels->width = width, pixels->height = height, pixels->pixelformat = format;
    pixels->field = V4L2_FIELD_NONE, pixels->sizeimage = SIZE;
    pixels->bytesperline = format == V4L2_PIX_FMT_MJPEG ? 0 : 2 * width;
    return 0;
}

static void stamp(struct timeval *at) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long us = now.tv_sec * 1000000LL + now.tv_nsec / 1000 - LATE_MS * 1000LL;
    at->tv_sec = us / 1000000, at->tv_usec = us % 1000000;
}

static int take_buffer(struct v4l2_buffer *buffer) {
    unsigned long long beats;
    if (read(device, &beats, sizeof beats) != sizeof beats || !queued) return fail(EAGAIN);
    int index = queue[0];
    memmove(queue, queue + 1, --queued * sizeof *queue);
    FILE *file = fopen(frames.gl_pathv[frame++ % frames.gl_pathc], "rb");
    buffer->bytesused = file ? fread(memory[index], 1, SIZE, file) : 0;
    if (file) fclose(file);
    buffer->index = index, buffer->length = SIZE, buffer->sequence = frame;
    stamp(&buffer->timestamp);
    return 0;
}

static int answer(unsigned long request, void *about) {
    switch ((unsigned)request) {
    case (unsigned)VIDIOC_QUERYCAP: {
        struct v4l2_capability *can = about;
        memset(can, 0, sizeof *can);
        strcpy((char *)can->driver, "fake");
        can->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        can->capabilities = can->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case (unsigned)VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = about;
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return input->index ? fail(EINVAL) : 0;
    }
    case (unsigned)VIDIOC_G_INPUT: return *(int *)about = 0;
    case (unsigned)VIDIOC_S_INPUT: return 0;
    case (unsigned)VIDIOC_G_FMT: return describe_format(about, 0);
    case (unsigned)VIDIOC_TRY_FMT:
    case (unsigned)VIDIOC_S_FMT: return describe_format(about, 1);
    case (unsigned)VIDIOC_G_PARM:
    case (unsigned)VIDIOC_S_PARM: {
        struct v4l2_captureparm *stream = &((struct v4l2_streamparm *)about)->parm.capture;
        stream->capability = V4L2_CAP_TIMEPERFRAME;
        stream->timeperframe.numerator = 1, stream->timeperframe.denominator = rate;
        return 0;
    }
    case (unsigned)VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = about;
        if (wanted->count > BUFFERS) wanted->count = BUFFERS;
        queued = 0;
        return wanted->memory == V4L2_MEMORY_MMAP ? 0 : fail(EINVAL);
    }
    case (unsigned)VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = about;
        buffer->length = SIZE, buffer->m.offset = buffer->index * SIZE;
        return 0;
    }
    case (unsigned)VIDIOC_QBUF: queue[queued++] = ((struct v4l2_buffer *)about)->index; return 0;
    case (unsigned)VIDIOC_DQBUF: return take_buffer(about);
    case (unsigned)VIDIOC_STREAMON: return run_clock(1);
    case (unsigned)VIDIOC_STREAMOFF: return run_clock(0);
    default: return fail(EINVAL);
    }
}

int ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *about = va_arg(rest, void *);
    va_end(rest);
    if (file >= 0 && file == device) return answer(request, about);
    int (*real)(int, unsigned long, ...) = REAL(ioctl);
    return real(file, request, about);
}

int close(int file) {
    int (*real)(int) = REAL(close);
    if (file >= 0 && file == device) device = -1;
    return real(file);
}
