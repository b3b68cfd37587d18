/* Runs a fuzz target on files and on all files in folders: what was found once is tried in every test, by any compiler. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static int replay(const char *path) {
    struct stat found;
    must(stat(path, &found) == 0);
    if (S_ISDIR(found.st_mode)) {
        int count = 0;
        DIR *folder = opendir(path);
        must(folder);
        for (const struct dirent *entry; (entry = readdir(folder));) {
            char inner[4096];
            must(snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner);
            if (entry->d_name[0] != '.') count += replay(inner);
        }
        closedir(folder);
        return count;
    }
    FILE *file = fopen(path, "rb");
    must(file);
    uint8_t *data = malloc((size_t)found.st_size + 1);
    must(data && fread(data, 1, (size_t)found.st_size, file) == (size_t)found.st_size);
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)found.st_size);
    free(data);
    return 1;
}

int main(int argc, char **argv) {
    int count = 0;
    for (int i = 1; i < argc; i++) count += replay(argv[i]);
    printf("%d inputs\n", count);
    return count == 0;
}
