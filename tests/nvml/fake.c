/* Stands in for libnvidia-ml.so.1: one GPU whose values are known. What fails is named in the environment:
 * HL_FAKE_NVML="Init Power" makes each call fail whose name has one of these words in it. Built with
 * HL_FAKE_NVML_OLD it lacks a call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { OK, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6 };

static int open_count, reads;
static int gpu; /* its address is the handle */

static int fails(const char *name)
{
    const char *words = getenv("HL_FAKE_NVML");
    char copy[256], *rest = copy;
    if (!words)
        return OK;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (strstr(name, word))
            return NOT_SUPPORTED;
    return OK;
}

/* Whether it was initialised, and is asked about its own GPU. */
static int check(const char *name, const void *device)
{
    if (open_count != 1 || device != &gpu)
        return INVALID;
    return fails(name);
}

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlInit_v2(void)
{
    int code = fails("Init");
    open_count += !code;
    return code;
}

EXPORT int nvmlShutdown(void);
EXPORT int nvmlShutdown(void)
{
    open_count--;
    return OK;
}

EXPORT const char *nvmlErrorString(int code);
EXPORT const char *nvmlErrorString(int code)
{
    return code == NOT_SUPPORTED ? "Not Supported"
           : code == NOT_FOUND   ? "Not Found"
           : code == INVALID     ? "Invalid Argument"
                                 : NULL;
}

EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned size);
EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    snprintf(text, size, "550.54.15");
    return fails("Driver");
}

EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **device);
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **device)
{
    *device = &gpu;
    return strcmp(id, "0000:3b:00.0") ? NOT_FOUND : fails("BusId");
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &gpu;
    return index ? 12345 : fails("Index"); /* a code without a text */
}

EXPORT int nvmlDeviceGetName(void *device, char *text, unsigned size);
EXPORT int nvmlDeviceGetName(void *device, char *text, unsigned size)
{
    snprintf(text, size, "Fake H200");
    return check("Name", device);
}

/* {gpu, memory}: changes from reading to reading. */
EXPORT int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates);
EXPORT int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates)
{
    rates[0] = reads++ % 2 ? 100 : 50;
    rates[1] = 7;
    return check("Utilization", device);
}

/* {total, free, used} */
EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *bytes);
EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *bytes)
{
    bytes[0] = 150754820096;
    bytes[1] = 140000000000;
    bytes[2] = 10754820096;
    return check("Memory", device);
}

EXPORT int nvmlDeviceGetClockInfo(void *device, int clock, unsigned *mhz);
EXPORT int nvmlDeviceGetClockInfo(void *device, int clock, unsigned *mhz)
{
    *mhz = clock == 1 ? 1980 : clock == 2 ? 3201 : 1;
    return check("Clock", device);
}

EXPORT int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees);
EXPORT int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees)
{
    *degrees = sensor == 0 ? 54 : 0;
    return check("Temperature", device);
}

#ifndef HL_FAKE_NVML_OLD
EXPORT int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatt);
EXPORT int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatt)
{
    *milliwatt = 412345;
    return check("Power", device);
}
#endif
