/* A Host Networking Service for tests: HNSCall answers as the real one does, in shape, from WINDLASS_FAKE_HNS:
   "ok" two networks and one endpoint, "error" what HNS says when it fails, "silent" no answer, else it is not there. */
#include <objbase.h>
#include <wchar.h>

static const wchar_t *NETWORKS =
    L"{\"Success\":true,\"Output\":[{\"ID\":\"D8C7B2A0-4B3C-4F77-9C2B-0E6B1C5A7F11\",\"Name\":\"azure\","
    L"\"Type\":\"L2Bridge\",\"ManagementIP\":\"10.240.0.97\",\"Subnets\":[{\"AddressPrefix\":\"10.240.0.0/16\"}]},"
    L"{\"ID\":\"C08CB7B8-9B3C-408E-8E30-5E16A3AEB444\",\"Name\":\"nat\",\"Type\":\"nat\"}]}";
static const wchar_t *ENDPOINTS =
    L"{\"Success\":true,\"Output\":[{\"ID\":\"E1\",\"Name\":\"Ethernet\",\"VirtualNetwork\":\"N1\","
    L"\"VirtualNetworkName\":\"azure\",\"IPAddress\":\"10.240.0.101\",\"State\":3}]}";
static const wchar_t *REFUSED = L"{\"Success\":false,\"Error\":\"Element not found. \",\"ErrorCode\":2147943568}";

__declspec(dllexport) HRESULT WINAPI HNSCall(LPCWSTR method, LPCWSTR path, LPCWSTR request, LPWSTR *response) {
    wchar_t mode[16] = L"";
    const wchar_t *answer = wcscmp(path, L"/networks/") == 0 ? NETWORKS : ENDPOINTS;
    GetEnvironmentVariableW(L"WINDLASS_FAKE_HNS", mode, 16);
    if (wcscmp(method, L"GET") != 0 || request == NULL || wcscmp(mode, L"silent") == 0) {
        return E_INVALIDARG;
    }
    if (wcscmp(mode, L"ok") != 0 && wcscmp(mode, L"error") != 0) {
        return HRESULT_FROM_WIN32(ERROR_SERVICE_NOT_ACTIVE);
    }
    if (wcscmp(mode, L"error") == 0) {
        answer = REFUSED;
    }
    *response = CoTaskMemAlloc((wcslen(answer) + 1) * sizeof(wchar_t));
    if (*response == NULL) {
        return E_OUTOFMEMORY;
    }
    wcscpy(*response, answer);
    return S_OK;
}
