/* A driver and an NVRTC that answer as the environment says: CUDA's own need a GPU.
 *
 * CUDA_STUB_INIT       what cuInit returns (0)
 * CUDA_STUB_DRIVER     newest CUDA of the driver, such as 12040 for 12.4 (12040)
 * CUDA_STUB_NVRTC      version of NVRTC, likewise (11080)
 * CUDA_STUB_GPUS       capability and MB of each GPU, such as "8.9:24000 9.0:80000" (none)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

/* Finds a GPU in the list; gives whether there is one. */
static int find(int device, int *major, int *minor, int *megabytes) {
    const char *text = getenv("CUDA_STUB_GPUS");
    for (; text && *text; device--) {
        if (sscanf(text, "%d.%d:%d", major, minor, megabytes) != 3) return 0;
        if (device == 0) return 1;
        text = strchr(text, ' ');
        if (text) text++;
    }
    return 0;
}

int cuInit(unsigned flags) { return number("CUDA_STUB_INIT", 0); }

int cuDriverGetVersion(int *version) {
    *version = number("CUDA_STUB_DRIVER", 12040);
    return 0;
}

int cuGetErrorName(int code, const char **text) {
    *text = code == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN";
    return 0;
}

int cuGetErrorString(int code, const char **text) {
    *text = code == 100 ? "no CUDA-capable device is detected" : "unknown error";
    return 0;
}

int cuDeviceGetCount(int *count) {
    int major, minor, megabytes;
    for (*count = 0; find(*count, &major, &minor, &megabytes); ++*count) {}
    return 0;
}

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return 0;
}

int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "Stub %d", device);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int major, minor, megabytes;
    if (!find(device, &major, &minor, &megabytes)) return 101;
    *value = attribute == 75 ? major : minor;
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    int major, minor, megabytes;
    if (!find(device, &major, &minor, &megabytes)) return 101;
    *bytes = (size_t)megabytes * 1000000;
    return 0;
}

int nvrtcVersion(int *major, int *minor) {
    int version = number("CUDA_STUB_NVRTC", 11080);
    *major = version / 1000;
    *minor = version % 1000 / 10;
    return 0;
}

/* What MXNet's build for GPUs links besides. */
#define REFUSED(name) int name(void) { return 3; }
REFUSED(cuDevicePrimaryCtxRetain)
REFUSED(cuGraphKernelNodeGetParams)
REFUSED(cuGraphNodeGetType)
REFUSED(cuLaunchKernel)
REFUSED(cuModuleGetFunction)
REFUSED(cuModuleLoadData)
REFUSED(cuModuleLoadDataEx)
REFUSED(cuModuleUnload)
