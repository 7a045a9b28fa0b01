"""Names of columns and of files, as exports and people write them: small letters and digits."""


def listed(text: str) -> tuple[str, ...]:
    """Words of a text."""
    return tuple(text.split())


FILES = frozenset(
    listed(
        "path paths filepath filepaths file files filename filenames fname fileid image images "
        "imagepath imagefile imagefilename imagename imageid imageurl img imgid imgpath imgname "
        "imgfile id name photo photos photoid photoname photopath picture pictureid pic url"
    )
)

LABELS = listed(
    "label labels classname class classes category categories categoryname species breed "
    "target targets tag tags choice choices labelname classlabel groundtruth gt y labelid "
    "classid categoryid targetid"
)
"""Names for a column of classes, those of names before those of numbers."""

SPLITS = frozenset(
    listed(
        "split splits set subset partition fold dataset datasplit phase usage isvalid isval "
        "isvalidation istest istesting istrain istraining"
    )
)

METADATA = frozenset(
    listed(
        "width height size filesize bytes date time datetime timestamp camera iso exposure "
        "aperture fnumber focallength lens flash license sha256 md5 hash latitude longitude lat "
        "lon gps comment comments caption description annotationid createdat updatedat leadtime "
        "xmin xmax ymin ymax x1  x2 y1 y2"
    )
)
"""Columns that are no classes."""

SOMETIMES = frozenset(
    listed(
        "owner source mode format note notes title text orientation device photographer user "
        "annotator index x"
    )
)
"""Columns that are no classes if they are beside some of those."""

TELLING = frozenset(listed("label labels annotation annotations metadata gt truth targets"))
"""Words in the names of files of labels."""

RESULTS = frozenset(listed("submission submissions prediction predictions results"))
"""Words in the names of files of predictions."""

NEUTRAL = frozenset(
    listed(
        "set sets data dataset datasets image images img imgs photo photos picture pictures pic "
        "pics jpg jpeg png split splits folder dir file files raw all final new full sample "
        "samples original orig resized cropped"
    )
)
"""Words that say nothing about the class or the split."""
