"""``python -m bookcls``: what there is."""

from bookcls import __version__

TEXT = f"""bookcls {__version__}: a strong image classifier from a few photos

  python -m bookcls.init       arrange your photos for it
  python -m bookcls.check      what is wrong with them, before training
  python -m bookcls.train      from a folder of photos to a tested classifier
  python -m bookcls.evaluate   test a trained classifier again, or on other photos
  python -m bookcls.predict    answer photos without labels
  python -m bookcls.tune       choose a recipe by the training photos alone
  python -m bookcls.report     tables, plots and a page of many runs
  python -m bookcls.cam        show what it looked at, and measure it
  python -m bookcls.serve      answer photos in a web page, and other programs over HTTP
  python -m bookcls.export     write it as one file for other programs
  python -m bookcls.fetch      get the real photos of the 2018 study
  python -m bookcls.pretrain   make VGG16 weights from rendered scenes alone

--help after any of them lists its settings. Start with
  python -m bookcls.train experiment=sample
"""

if __name__ == "__main__":
    print(TEXT, end="")
