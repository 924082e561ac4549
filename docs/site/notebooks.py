"""The examples written as notebooks, run, as pages with what they printed and drew."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbconvert
import nbformat
from nbclient import NotebookClient

NAMES = ("differentiable_physiology", "first_agent", "vmapped_sweep")  # in examples/, in Jupytext's percent format


def write_pages(root: Path, folder: Path, work: Path) -> None:
    """Runs the notebooks of `root`, two at a time, and writes NAME.md and its pictures into `folder`.

    What they write lands in `work`. Raises nbclient.exceptions.CellExecutionError where a cell fails.
    """
    os.environ["PYTHONPATH"] = str(root)  # for the kernels: `agents` is no installed package
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    for made in (folder, work):
        made.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        for name, (page, pictures) in zip(NAMES, pool.map(lambda name: _page(root, name, work), NAMES), strict=True):
            (folder / f"{name}.md").write_text(page, "utf-8")
            for picture, content in pictures.items():
                (folder / picture).write_bytes(content)


def _page(root: Path, name: str, work: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook that has been run, and its pictures by file name."""
    notebook = jupytext.read(root / "examples" / f"{name}.py")
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%matplotlib inline"))  # figures made without pyplot show, too
    NotebookClient(
        notebook,
        timeout=300,
        coalesce_streams=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors; it warns that its port on 127.0.0.1 is not encrypted
    ).execute()
    del notebook.cells[0]
    named = {"unique_key": name, "output_files_dir": "."}
    page, resources = nbconvert.MarkdownExporter().from_notebook_node(notebook, resources=named)
    pictures = {Path(path).name: content for path, content in resources["outputs"].items()}
    return page.replace("(./", "("), pictures
