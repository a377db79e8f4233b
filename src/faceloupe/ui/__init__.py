"""The only importers of Streamlit: session state, cached resources, panels."""
