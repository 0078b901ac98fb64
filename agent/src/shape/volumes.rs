//! Which disks are the machine's own, told by the paths under which their volumes are in use.

/// A volume: the paths it is mounted at, and the numbers of the disks it lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub paths: Vec<String>,
    pub disks: Vec<u32>,
}

/// Whether the disk of this number is the machine's own: its volumes are in use, and none by the kubelet. One that is in
/// use by nobody may be a pod's, on its way to or from its mount.
pub(crate) fn own(number: u32, volumes: &[Volume]) -> bool {
    let here = || volumes.iter().filter(|volume| volume.disks.contains(&number)).flat_map(|volume| &volume.paths);
    here().next().is_some() && !here().any(|path| for_a_pod(path))
}

/// Whether Windows, whose `folder` this is (`C:\Windows\system32`), runs from the disk of this number. Where its volume spans
/// several disks, none of them is it: each can be missed.
pub(crate) fn system(number: u32, volumes: &[Volume], folder: &str) -> bool {
    let root = folder.get(..3).unwrap_or_default();
    volumes.iter().any(|v| v.disks == [number] && v.paths.iter().any(|path| path.eq_ignore_ascii_case(root)))
}

/// Whether the kubelet has a pod's volume at this path. Its folder may be anywhere, what is in it has fixed names: a volume
/// is mounted once for the node (`plugins\kubernetes.io\...\globalmount`), or for each pod
/// (`pods\<uid>\volumes\<plugin>\...`).
fn for_a_pod(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let of_a_pod = || path.split_once(r"\pods\").is_some_and(|(_, rest)| rest.contains(r"\volumes\"));
    path.contains(r"\plugins\kubernetes.io\") || of_a_pod()
}

/// The numbers of the disks in an answer of `IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS`: a count, then for each extent the disk's
/// number, offset and length. Counts and numbers are the low halves of their words.
pub(crate) fn disks_of(answer: &[u64]) -> Vec<u32> {
    let low = |word: &u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    let count = answer.first().map_or(0, low) as usize;
    answer.iter().skip(1).step_by(3).take(count).map(low).collect()
}

/// The texts of a list in which each ends with a zero, and the list with one more.
pub(crate) fn texts(list: &[u16]) -> Vec<String> {
    list.split(|c| *c == 0).take_while(|text| !text.is_empty()).map(String::from_utf16_lossy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(paths: &[&str], disks: &[u32]) -> Volume {
        Volume { paths: paths.iter().map(|&path| path.to_owned()).collect(), disks: disks.to_vec() }
    }

    #[test]
    fn a_disk_is_the_machines_own_where_it_is_in_use_and_by_no_pod() {
        let for_all = r"C:\var\lib\kubelet\plugins\kubernetes.io\csi\ebs.csi.aws.com\1f8d\globalmount\";
        let for_one = r"K:\Kubelet\pods\7c1e\volumes\kubernetes.io~csi\pvc-1\mount\";
        for (paths, want) in [
            (&[r"C:\"][..], true),
            (&[r"C:\data\containers\"], true),
            (&[r"C:\pods\"], true),
            // Attached and not mounted, or not any more.
            (&[], false),
            (&[for_all], false),
            (&[for_one], false),
            // Windows gives letters to disks that come, unless it is told not to.
            (&[r"E:\", for_all], false),
        ] {
            assert_eq!(own(1, &[volume(&[r"D:\"], &[0]), volume(paths, &[1])]), want, "{paths:?}");
        }
        assert!(!own(1, &[]), "no volume at all");
        let system = [volume(&[], &[0]), volume(&[r"C:\"], &[0])];
        assert!(own(0, &system), "the volumes of firmware and recovery have no path");
        assert!(own(2, &[volume(&[r"S:\"], &[1, 2])]), "one that spans disks");
    }

    #[test]
    fn the_disk_that_windows_runs_from_is_the_one_of_its_volume() {
        let folder = r"c:\Windows\system32\";
        let volumes = [volume(&[], &[0]), volume(&[r"C:\"], &[0]), volume(&[r"D:\", r"C:\data\"], &[1])];
        assert!(system(0, &volumes, folder));
        assert!(!system(1, &volumes, folder), "one that is mounted in it");
        assert!(!system(2, &volumes, folder));
        let mirror = [volume(&[r"C:\"], &[0, 1])];
        assert!(!system(0, &mirror, folder) && !system(1, &mirror, folder), "each half of a mirror has its name");
        assert!(!system(0, &volumes, "") && !system(0, &[], folder), "nobody says");
    }

    #[test]
    fn extents_are_read_up_to_their_count() {
        assert_eq!(disks_of(&[2, 7, 0, 1 << 40, 0xABCD_0000_0000 | 9, 0, 1, 5, 0, 0]), [7, 9]);
        assert_eq!(disks_of(&[3, 7, 0]), [7], "an answer that was cut short");
        assert!(disks_of(&[0, 7]).is_empty() && disks_of(&[]).is_empty());
    }

    #[test]
    fn a_list_of_texts_ends_with_an_empty_one() {
        let list: Vec<u16> = "C:\\\0C:\\data\\\0\0rubbish".encode_utf16().collect();
        assert_eq!(texts(&list), [r"C:\", r"C:\data\"]);
        assert!(texts(&[0, 0]).is_empty() && texts(&[]).is_empty());
    }
}
