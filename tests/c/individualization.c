/* IWMDRMIndividualizationStatus as a COM server would hand it out, with the struct as wmdrmsdk.h has it.
 *
 * Each GetStatus moves the object on to its next state. All URLs come in one buffer, which the next call
 * writes over: who wants to keep a text must copy it at once. Compiled for 32 bits without a library
 * (-m32 -ffreestanding -fsyntax-only -DLAYOUT_ONLY) it proves the layout of those captures. */
#include <stddef.h>
#include <stdint.h>

typedef int32_t HRESULT;
typedef uint32_t DWORD;
typedef uint32_t ULONG;
typedef char *LPSTR;

typedef enum DRM_INDIVIDUALIZATION_STATUS {
    INDI_UNDEFINED = 0x00,
    INDI_BEGIN = 0x01,
    INDI_SUCCEED = 0x02,
    INDI_FAIL = 0x04,
    INDI_CANCEL = 0x08,
    INDI_DOWNLOAD = 0x10,
    INDI_INSTALL = 0x20
} DRM_INDIVIDUALIZATION_STATUS;

typedef enum DRM_HTTP_STATUS {
    HTTP_NOTINITIATED = 0,
    HTTP_CONNECTING = 1,
    HTTP_REQUESTING = 2,
    HTTP_RECEIVING = 3,
    HTTP_COMPLETED = 4
} DRM_HTTP_STATUS;

typedef struct _WMIndividualizeStatus {
    HRESULT hr;
    DRM_INDIVIDUALIZATION_STATUS enIndiStatus;
    LPSTR pszIndiRespUrl;
    DWORD dwHTTPRequest;
    DRM_HTTP_STATUS enHTTPStatus;
    DWORD dwHTTPReadProgress;
    DWORD dwHTTPReadTotal;
} WM_INDIVIDUALIZE_STATUS;

#define AT(member, offset) _Static_assert(offsetof(WM_INDIVIDUALIZE_STATUS, member) == (offset), #member)

AT(hr, 0);
AT(enIndiStatus, 4);
AT(pszIndiRespUrl, 8);
AT(dwHTTPRequest, 8 + sizeof(void *));
AT(enHTTPStatus, 12 + sizeof(void *));
AT(dwHTTPReadProgress, 16 + sizeof(void *));
AT(dwHTTPReadTotal, 20 + sizeof(void *));
_Static_assert(sizeof(void *) != 8 || sizeof(WM_INDIVIDUALIZE_STATUS) == 32, "64 bits");
_Static_assert(sizeof(void *) != 4 || sizeof(WM_INDIVIDUALIZE_STATUS) == 28, "32 bits");

#ifndef LAYOUT_ONLY

#include <stdio.h>
#include <string.h>

#define S_OK ((HRESULT)0)
#define E_NOTIMPL ((HRESULT)0x80004001)
#define E_POINTER ((HRESULT)0x80004003)
#define E_HANDLE ((HRESULT)0x80070006)

#define STATES 8

typedef struct individualization individualization;

typedef struct vtable {
    HRESULT (*QueryInterface)(individualization *This, const void *riid, void **ppvObject); /* slot 0 */
    ULONG (*AddRef)(individualization *This);                                               /* slot 1 */
    ULONG (*Release)(individualization *This);                                              /* slot 2 */
    HRESULT (*GetStatus)(individualization *This, WM_INDIVIDUALIZE_STATUS *pStatus);        /* slot 3 */
    /* Not in the interface; for what else a caller may do, and may do wrong. */
    HRESULT (*Unimplemented)(individualization *This, WM_INDIVIDUALIZE_STATUS *pStatus); /* slot 4 */
    HRESULT (*GetStatusOf)(individualization *This, DWORD state, WM_INDIVIDUALIZE_STATUS *pStatus,
                           DWORD *pcbStatus, const char *url); /* slot 5 */
} vtable;

struct individualization {
    const vtable *lpVtbl;
    individualization *self; /* what This must be */
    ULONG references;
    DWORD calls;      /* of GetStatus */
    DWORD fail_every; /* GetStatus fails each time this many calls were made; 0: never */
    HRESULT failure;  /* with this */
    DWORD strangers;  /* calls whose This was none of ours */
    char url[64];     /* of the newest call */
};

static HRESULT query_interface(individualization *This, const void *riid, void **ppvObject)
{
    (void)This, (void)riid;
    return ppvObject ? E_NOTIMPL : E_POINTER;
}

static ULONG add_ref(individualization *This) { return ++This->references; }

static ULONG release(individualization *This) { return --This->references; }

static int is_stranger(individualization *This)
{
    if (This && This->self == This)
        return 0;
    if (This)
        This->strangers++;
    return 1;
}

/* The state of a run after `number` calls: what the test expects is written down there once more. */
static void fill(individualization *This, DWORD number, WM_INDIVIDUALIZE_STATUS *pStatus)
{
    static const DRM_INDIVIDUALIZATION_STATUS indi[STATES] = {INDI_UNDEFINED, INDI_BEGIN,    INDI_DOWNLOAD,
                                                              INDI_DOWNLOAD,  INDI_DOWNLOAD, INDI_DOWNLOAD,
                                                              INDI_INSTALL,   INDI_SUCCEED};
    static const DRM_HTTP_STATUS http[STATES] = {HTTP_NOTINITIATED, HTTP_NOTINITIATED, HTTP_CONNECTING,
                                                 HTTP_REQUESTING,   HTTP_RECEIVING,    HTTP_COMPLETED,
                                                 HTTP_COMPLETED,    HTTP_COMPLETED};
    DWORD state = number % STATES;
    pStatus->hr = state == STATES - 1 ? 0x000D2727 : S_OK;
    pStatus->enIndiStatus = indi[state];
    pStatus->enHTTPStatus = http[state];
    pStatus->dwHTTPRequest = number / STATES;
    pStatus->dwHTTPReadProgress = 0xFFFFFFFF - number;
    pStatus->dwHTTPReadTotal = state < 4 ? 0 : 0xFFFFFFFF;
    pStatus->pszIndiRespUrl = NULL;
    if (state >= 2) {
        snprintf(This->url, sizeof This->url, "http://indi.example/%u", (unsigned)(number % 100));
        pStatus->pszIndiRespUrl = This->url;
    }
}

static HRESULT get_status(individualization *This, WM_INDIVIDUALIZE_STATUS *pStatus)
{
    DWORD number;
    if (is_stranger(This))
        return E_HANDLE;
    if (!pStatus)
        return E_POINTER;
    number = This->calls++;
    memset(This->url, '#', sizeof This->url - 1); /* whoever kept the address only now reads this */
    if (This->fail_every && This->calls % This->fail_every == 0)
        return This->failure;
    fill(This, number, pStatus);
    return S_OK;
}

static HRESULT unimplemented(individualization *This, WM_INDIVIDUALIZE_STATUS *pStatus)
{
    (void)This, (void)pStatus;
    return E_NOTIMPL;
}

static HRESULT get_status_of(individualization *This, DWORD state, WM_INDIVIDUALIZE_STATUS *pStatus,
                             DWORD *pcbStatus, const char *url)
{
    if (is_stranger(This))
        return E_HANDLE;
    if (!pStatus || !pcbStatus || *pcbStatus != sizeof *pStatus)
        return E_POINTER;
    fill(This, state, pStatus);
    pStatus->pszIndiRespUrl = (LPSTR)url;
    *pcbStatus = 0; /* a caller that does not set it again will see the next call fail */
    return S_OK;
}

static const vtable methods = {query_interface, add_ref, release, get_status, unimplemented, get_status_of};

/* The object; it belongs to its creator until the last Release. */
individualization *create(individualization *memory, DWORD fail_every, HRESULT failure)
{
    memset(memory, 0, sizeof *memory);
    memory->lpVtbl = &methods;
    memory->self = memory;
    memory->references = 1;
    memory->fail_every = fail_every;
    memory->failure = failure;
    return memory;
}

size_t object_size(void) { return sizeof(individualization); }
ULONG references(const individualization *object) { return object->references; }
DWORD calls(const individualization *object) { return object->calls; }
DWORD strangers(const individualization *object) { return object->strangers; }

#endif
